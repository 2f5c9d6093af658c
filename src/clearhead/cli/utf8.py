"""What a verb reads whole, from a file or from standard input, is UTF-8."""

from __future__ import annotations

from clearhead.errors import TextError


def decoded(data: bytes, name: str) -> str:
    """The text of all bytes of ``name``. Raises TextError with the place of the first that is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"{name}: byte {error.start} is not UTF-8; convert it first, e.g. with iconv") from None
