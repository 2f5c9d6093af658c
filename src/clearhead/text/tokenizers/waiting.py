"""Long work of the tokenizers library, left when Ctrl-C comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tokenizers import Encoding

LONG = 1 << 18  # characters that take a tenth of a second and more to encode

T = TypeVar("T")


def encoded(encode: Callable[..., list[Encoding]], texts: Sequence[str]) -> list[Encoding]:
    """What the library's encode_batch makes of the texts, without special tokens around them."""
    work = partial(encode, list(texts), add_special_tokens=False)
    return work() if sum(map(len, texts)) < LONG else left_on_interrupt(work)


def left_on_interrupt(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. A signal is handled while it goes on, which a call into Rust would keep waiting.

    What is then left behind ends with the process.
    """
    found: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as fault:  # raised again below
            raised.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return found[0]
