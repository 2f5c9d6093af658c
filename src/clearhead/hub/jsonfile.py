"""Reads the JSON files of a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from clearhead.errors import FolderError, unread
from clearhead.files import read_bounded

SHOWN = 5  # models that an error lists

JSON_AT_MOST = 2**20  # bytes; a config.json has a few thousand, and takes 20 times that when parsed


def read_table(path: Path, *, most: int = JSON_AT_MOST) -> dict[str, Any]:
    """The JSON object in a file. Raises FolderError if it is missing, damaged, too large or not an object."""
    try:
        table = json.loads(content(path, most=most).decode())
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested deeper than Python allows
        raise FolderError(f"{path}: truncated or altered: {unread(error)}; copy it again") from None
    if not isinstance(table, dict):
        raise FolderError(f"{path}: altered: not a JSON object; copy it again")
    return cast(dict[str, Any], table)


def content(path: Path, *, most: int = JSON_AT_MOST) -> bytes:
    """The bytes of a small file. Raises FolderError if it cannot be read, is not a regular file or is too large."""
    try:
        return read_bounded(path, most)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        way = _incomplete(path.parent) if missing else "check its permissions and the disk"
        raise FolderError(f"{path}: cannot be read: {error.strerror}; {way}") from None


def _incomplete(folder: Path) -> str:
    """A clause for errors: the folder is not a complete model, and which models it contains."""
    models = sorted(str(each.parent) for each in folder.glob("*/config.json"))
    rest = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
    inside = f"one that it contains: {', '.join(models[:SHOWN])}{rest}"
    other = "a run (runs/NAME) or the whole folder of a released model"
    return f"{folder} is not a complete model folder; give {inside if models else other}"
