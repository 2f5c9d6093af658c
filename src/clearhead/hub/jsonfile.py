"""JSON files of a folder, read as the tables they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from clearhead.errors import FolderError
from clearhead.files import read_bounded

JSON_AT_MOST = 2**20  # bytes; a config.json has some thousand, and what is parsed takes 20 times as much


def read_table(path: Path, *, most: int = JSON_AT_MOST) -> dict[str, Any]:
    """The table in a JSON file. Raises FolderError when it is missing, truncated, altered, or beyond measure."""
    try:
        table = json.loads(content(path, most=most).decode())
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, numbers or nesting beyond Python's limits
        raise FolderError(f"{path}: truncated or altered: {error}; copy it again") from None
    if not isinstance(table, dict):
        raise FolderError(f"{path}: altered: it holds no table of settings; copy it again")
    return cast(dict[str, Any], table)


def content(path: Path, *, most: int = JSON_AT_MOST) -> bytes:
    """The bytes of a small file. Raises FolderError when it cannot be read, is none or is beyond measure."""
    try:
        return read_bounded(path, most)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        way = f"{path.parent} is not a whole model folder" if missing else "check its permissions and the disk"
        raise FolderError(f"{path}: cannot be read: {error.strerror}; {way}") from None
