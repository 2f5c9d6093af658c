"""Errors for texts that a tokenizer cannot encode, and for ids that it cannot decode."""

from __future__ import annotations

import operator
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import cast

from clearhead.errors import TextError, shown


@contextmanager
def panics_as(kind: type[Exception]) -> Generator[None]:
    """Raises ``kind`` if the library panics; its own PanicException is not a subclass of Exception."""
    try:
        yield
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":  # pyo3's; it cannot be imported
            raise
        raise kind(f"the tokenizers library panicked: {fault}") from fault


@contextmanager
def encoding_errors() -> Generator[None]:
    """Raises TextError if the library fails, for want of a token for unknown text."""
    try:
        with panics_as(ValueError):
            yield
    except MemoryError:
        raise
    except Exception as fault:  # the library raises Exception itself, nothing narrower
        raise TextError(f"the tokenizer cannot encode the text: {fault}; copy its tokenizer.json again") from fault


def check_whole(text: str) -> None:
    """Raises TextError for anything but a string, and for a lone surrogate (half a character)."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TextError(f"{shown(text)} was given; a text is one string, such as 'It was'")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise TextError(
            f"half a character (U+{ord(text[fault.start]):04X}) at position {fault.start} of the text; "
            "give text that is valid Unicode (on the command line: UTF-8)"
        ) from fault


def row_of_ids(ids: Iterable[int]) -> list[int]:
    """The ids in a list, or in an array or tensor of shape (T,) or (1, T), as Python integers.

    Raises TextError for anything else.
    """
    shape, dtype = getattr(ids, "shape", None), getattr(ids, "dtype", None)
    one = shape is not None and len(shape) == 2 and shape[0] == 1
    row = cast("Sequence[Iterable[int]]", ids)[0] if one else ids
    try:
        if shape is not None and not one and len(shape) != 1:
            raise TypeError
        return [operator.index(token) for token in row]  # the library rejects numpy integers
    except TypeError:
        given = shown(ids) if shape is None else f"{type(ids).__name__} of shape {tuple(shape)} and {dtype}"
        raise TextError(f"ids: {given} was given; it must be one row of whole numbers, such as ids_BT[0]") from None
