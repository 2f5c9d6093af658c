"""Lets Ctrl-C interrupt long calls into libraries that are not Python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tokenizers import Encoding

LONG = 1 << 18  # characters; encoding as many takes a tenth of a second or more

T = TypeVar("T")


def encoded(encode: Callable[..., list[Encoding]], texts: Sequence[str]) -> list[Encoding]:
    """Encodes the texts with the library's ``encode``, a batch method, without special tokens around them."""
    return interruptible(partial(encode, list(texts), add_special_tokens=False), texts)


def interruptible(work: Callable[[], T], texts: Sequence[str]) -> T:
    """Returns what ``work`` does with the texts; if they are long, it can be interrupted."""
    return work() if sum(map(len, texts)) < LONG else left_on_interrupt(work)


def left_on_interrupt(work: Callable[[], T]) -> T:
    """Returns or raises what ``work`` does. It runs in a thread, since such a call would hold up signals.

    Interrupted work goes on in its thread, which ends with the process at the latest.
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
