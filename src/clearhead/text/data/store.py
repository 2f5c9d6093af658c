"""The token cache on disk: written whole or not at all, keyed by content, verified when opened.

A file of tokens is a safetensors file (github.com/huggingface/safetensors, "Format"), so other tools can open it:
8 bytes of header length, JSON with the dtype, shape and offsets of each column, then the columns. The header is padded
to HEADER bytes, so that ids are written as they arrive and the header last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from clearhead.errors import FolderError
from clearhead.files import caching, make_folder, reading, replacing, writing

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

HEADER = 4096  # one memory page, so that the first column can be mapped
FORMAT = "clearhead tokens 1"
BLOCK = 1 << 20
_TYPES = {
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
_CODES = {dtype.name: code for code, dtype in _TYPES.items()}


def cached_columns(path: Path, parts: Callable[[], Iterable[Mapping[str, Array]]]) -> dict[str, Array]:
    """The columns of a file of the cache, which is written from ``parts()`` if it is missing or damaged.

    Raises WriteError if it cannot be written, FolderError if it is damaged again at once.
    """
    columns = read_columns(path)
    if columns is None:
        with caching():
            write_columns(path, parts())
        columns = read_columns(path)
    if columns is None:
        raise FolderError(
            f"{path}: differs from what was just written; check the disk, or set CLEARHEAD_CACHE to another folder"
        )
    return columns


def write_columns(path: Path, parts: Iterable[Mapping[str, Array]]) -> None:
    """Writes columns that arrive in parts; each part maps column names to the values to append.

    The first column is written as it arrives; the others wait in temporary files beside it, so memory holds one part
    at a time.
    """
    make_folder(path.parent)
    with replacing(path) as file, contextlib.ExitStack() as stack:
        file.write(b" " * HEADER)
        into: dict[str, BinaryIO] = {}
        codes: dict[str, str] = {}
        data = hashlib.blake2b(digest_size=20)
        for part in parts:
            for name, values in part.items():
                raw = values.tobytes()
                if name not in into:
                    with writing(path):
                        into[name] = stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) if into else file
                    codes[name] = _CODES[values.dtype.name]
                if into[name] is file:
                    data.update(raw)
                with writing(path):
                    into[name].write(raw)
        header: dict[str, Any] = {}
        begin = 0
        for name, spool in into.items():
            if spool is not file:
                with writing(path):  # what the buffer still holds
                    spool.seek(0)
                while raw := spool.read(BLOCK):
                    data.update(raw)
                    file.write(raw)
            end = file.tell() - HEADER
            shape = [(end - begin) // _TYPES[codes[name]].itemsize]
            header[name] = {"dtype": codes[name], "shape": shape, "data_offsets": [begin, end]}
            begin = end
        checksum = hashlib.blake2b(json.dumps(header).encode() + data.digest()).hexdigest()
        named = {"__metadata__": {"format": FORMAT, "checksum": checksum}, **header}
        file.seek(0)
        file.write(struct.pack("<Q", HEADER - 8) + json.dumps(named).encode())


def read_columns(path: Path) -> dict[str, Array] | None:
    """The columns, memory-mapped; None if the file is missing or its checksum differs (logged).

    The whole file is read for the checksum, without staying in memory: about a second per gigabyte.
    """
    try:
        with reading(path) as file:
            header = _checked(file)
    except (FileNotFoundError, NotADirectoryError):  # writing tells about the latter
        return None
    except FolderError as fault:
        log.warning("%s; rebuilding it", str(fault).partition(";")[0])
        return None
    if header is None:
        log.warning("%s: truncated or altered; rebuilding it", path)
        return None
    return {
        name: np.asarray(
            np.memmap(
                path,
                mode="r",
                dtype=_TYPES[column["dtype"]],
                offset=HEADER + column["data_offsets"][0],
                shape=tuple(column["shape"]),
            )
        )
        for name, column in header.items()
    }


def _checked(file: BinaryIO) -> dict[str, Any] | None:
    head = file.read(HEADER)
    try:
        header = json.loads(head[8:])
        checksum = header.pop("__metadata__")["checksum"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    data = hashlib.blake2b(digest_size=20)
    while raw := file.read(BLOCK):
        data.update(raw)
    found = hashlib.blake2b(json.dumps(header).encode() + data.digest()).hexdigest()
    return header if found == checksum else None
