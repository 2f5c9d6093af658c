"""Errors for texts that a tokenizer cannot encode."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from clearhead.errors import TextError


@contextmanager
def encoding_errors() -> Generator[None]:
    """Raises TextError if the library fails, for want of a token for unknown text."""
    try:
        yield
    except Exception as fault:  # the library raises Exception itself, nothing narrower
        raise TextError(f"the tokenizer cannot encode the text: {fault}; copy its tokenizer.json again") from fault


def check_whole(text: str) -> None:
    """Raises TextError for a lone surrogate, half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise TextError(
            f"half a character (U+{ord(text[fault.start]):04X}) at position {fault.start} of the text; "
            "give text that is valid Unicode (on the command line: UTF-8)"
        ) from fault
