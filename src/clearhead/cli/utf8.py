"""Reads input as a whole: of bounded size, not from a device, and UTF-8."""

from __future__ import annotations

import sys
from pathlib import Path

from clearhead.errors import FolderError, TextError
from clearhead.files import reading

AT_MOST = 2**26  # bytes; some 16 million tokens, more than any context


def read_text(file: str) -> str:
    """The text of a file, of a pipe, or of standard input ("-").

    Raises TextError if there is no such file, it cannot be read, has more than AT_MOST bytes or is not UTF-8.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            data = sys.stdin.buffer.read(AT_MOST + 1)
        elif Path(file).is_fifo():
            with Path(file).open("rb") as pipe:
                data = pipe.read(AT_MOST + 1)
        else:
            with reading(Path(file)) as opened:
                data = opened.read(AT_MOST + 1)
    except FileNotFoundError:
        raise TextError(f"{name}: no such file; check the name and the folder") from None
    except OSError as fault:
        raise TextError(f"{name}: cannot be read: {fault.strerror}; check its permissions") from None
    except FolderError as fault:  # a folder or a device
        if Path(file).is_dir():
            raise TextError(f"{name}: is a folder; give a file with the text in it") from None
        raise TextError(str(fault)) from None
    if len(data) > AT_MOST:
        raise TextError(f"{name}: has more than {AT_MOST:,} bytes; give less at once")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"{name}: byte {error.start} is not UTF-8; convert it first, e.g. with iconv") from None


def given_text(text: str) -> str:
    """The text that was given, from standard input if it is ``-``; raises as ``read_text`` does."""
    return read_text("-") if text == "-" else text
