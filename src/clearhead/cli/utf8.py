"""Decoding of input that a verb reads as a whole."""

from __future__ import annotations

from clearhead.errors import TextError


def decoded(data: bytes, name: str) -> str:
    """Decodes UTF-8. Raises TextError with ``name`` and the position of the first invalid byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"{name}: byte {error.start} is not UTF-8; convert it first, e.g. with iconv") from None
