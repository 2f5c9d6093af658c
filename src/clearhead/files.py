"""Writing files so that a crash or a full disk leaves the last whole one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from clearhead.errors import FolderError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a temporary path in the same folder, flushes what it wrote and renames it to ``path``.

    Raises FolderError when the disk is full, the file-size limit is reached or the folder cannot be written; the
    file that stood at ``path`` is then unchanged and nothing temporary is left.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise FolderError(f"{path}: cannot be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        write(temporary)
        flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise FolderError(
            f"{path}: not written: {error.strerror or error}; what stood there before is unchanged"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, atomically."""
    write_atomically(path, lambda temporary: _write(temporary, text.encode()))


def flush(path: Path) -> None:
    """Forces a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
