"""Files: written so that a crash or a full disk leaves the last whole one, and read up to a size."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clearhead.errors import FolderError, WriteError


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, and leaves nothing when it does not.

    It is written under a temporary name in the same folder, flushed to the disk and renamed. Raises WriteError when
    it cannot be written (a full disk, a file-size limit, a folder without leave to write).
    """
    # the name cut off: with what is added, a long one would be too long for the file system
    # random: processes of two machines, or of two containers, may have the same number
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}.tmp")
    replaced = False
    try:
        with suppress(FileExistsError):  # if it is no folder, opening says so
            path.parent.mkdir(parents=True)
        with temporary.open("wb") as file:
            yield file
            mode = os.fstat(file.fileno()).st_mode
        # By name, not by handle: a library that was given the name may have put another file in its place.
        temporary.chmod(mode)
        flush(temporary)
        temporary.replace(path)
        replaced = True
        flush(path.parent)
    except OSError as fault:
        stands = os.path.exists(path)  # noqa: PTH110 (Path.exists raises where the name is too long)
        before = "; the file that stood there is unchanged" if stands and not replaced else ""
        reason = fault.strerror or fault
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        way = "free some space or choose another place" if full else "choose a place that can be written"
        raise WriteError(f"{path}: cannot be written: {reason}{before}; {way}") from fault
    finally:
        with suppress(OSError):  # never made, or renamed
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """UTF-8 text in place of ``path``; raises as ``replacing`` does."""
    with replacing(path) as file:
        file.write(text.encode())


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file. Raises FolderError when it has more than ``most``, OSError when it cannot be read."""
    size = path.stat().st_size
    if size > most:
        raise FolderError(f"{path}: altered: it has {size:,} bytes; at most {most:,} are read")
    return path.read_bytes()


def leftovers(folder: Path) -> list[Path]:
    """The temporary files that ``replacing`` left in a folder when its process was killed."""
    return [path for path in folder.iterdir() if re.fullmatch(r"\..*\.[0-9a-f]{16}\.tmp", path.name) and path.is_file()]


def flush(path: Path) -> None:
    """Forces a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
