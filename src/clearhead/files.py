"""Files: written so that a crash or a full disk leaves the last whole one, never through a link, and read up to a size.

A folder may come from somebody else. Under the name of a file there may stand a link, a pipe or a device.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import BinaryIO

from clearhead.errors import FolderError, WriteError

POINTER = b"version https://git-lfs"  # how the text begins that a clone without Git LFS has in place of a file
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, and leaves nothing when it does not.

    It is written under a temporary name in the same folder, flushed to the disk and renamed; a link at ``path`` is
    replaced, and what it leads to stays. What an earlier process left that was killed at this is removed. Raises
    WriteError when it cannot be written (a full disk, a file-size limit, a folder without leave to write).
    """
    replaced = False
    try:
        with suppress(FileExistsError):  # if it is no folder, opening says so
            path.parent.mkdir(parents=True)
        remove_leftovers(path.parent, path.name)
        with _temporary_file(path) as (temporary, file):
            yield file
            file.flush()
            # By name, not by handle: a library that was given the name may have put another file in its place.
            temporary.chmod(os.fstat(file.fileno()).st_mode)
            flush(temporary)
            temporary.replace(path)
            replaced = True
        flush(path.parent)
    except OSError as fault:
        stands = os.path.exists(path)  # noqa: PTH110 (Path.exists raises where the name is too long)
        before = "; the file that stood there is unchanged" if stands and not replaced else ""
        way = "free some space or choose another place" if fault.errno in FULL else "choose a place that can be written"
        raise WriteError(f"{path}: cannot be written: {fault.strerror or fault}{before}; {way}") from fault


def write_text(path: Path, text: str) -> None:
    """UTF-8 text in place of ``path``; raises as ``replacing`` does."""
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """A folder that takes the place of ``path``, which is missing or empty, when the block ends well.

    As with ``replacing``, nothing is left otherwise, and what a killed process left is removed. Raises OSError.
    """
    remove_leftovers(path.parent, path.name, folders=True)
    while True:
        temporary = _temporary_name(path)
        temporary.mkdir(parents=True)
        handle = os.open(temporary, os.O_RDONLY)
        if _locked(handle):
            break
        os.close(handle)
    try:
        yield temporary
        temporary.replace(path)
        flush(path.parent)
    finally:
        os.close(handle)
        shutil.rmtree(temporary, ignore_errors=True)  # renamed, unless it failed


def updating(path: Path) -> BufferedRandom:
    """Opens a file that is written in place, made when it is missing; only if its bytes have no other name.

    Raises FolderError for a link, a hard link or no file at all, OSError when it cannot be opened.
    """
    with suppress(FileNotFoundError):
        _check_kind(path, path.lstat().st_mode)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        found = os.fstat(handle)
        _check_kind(path, found.st_mode)
        if found.st_nlink > 1:
            raise FolderError(
                f"{path}: is a hard link, and what is written to it would change another file; put a copy in its place"
            )
        return os.fdopen(handle, "r+b")
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def reading(path: Path) -> Generator[BufferedReader]:
    """An open file, through links too. Opening a pipe would wait for somebody who writes, and a device may never end.

    Raises FolderError for what stands under a file's name and is none: a folder, a pipe, a socket, a device, a pointer
    of Git LFS. Raises OSError when it is missing or may not be read.
    """
    _check_kind(path, path.stat().st_mode)  # first: to some devices, being opened means something
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        _check_kind(path, os.fstat(file.fileno()).st_mode)
        if file.peek(len(POINTER)).startswith(POINTER):
            raise FolderError(
                f"{path}: is a pointer that Git LFS left in place of the file; run `git lfs pull` in {path.parent}, or "
                "copy the file from where it came"
            )
        yield file


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file. Raises FolderError when it has more than ``most``; else as ``reading``."""
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(size + 1)
        if len(content) > size:  # it grows, or tells no size, as those of /proc
            content += file.read(most + 1 - len(content))
    if (size := max(size, len(content))) > most:
        raise FolderError(f"{path}: altered: it has {size:,} bytes; at most {most:,} are read")
    return content


def refuse_link(folder: Path) -> None:
    """Raises FolderError for a subfolder that is a link: what is written into it would lie elsewhere."""
    if folder.is_symlink():
        raise FolderError(f"{folder}: is a link, and should be a folder; move there what it leads to")


def leftovers(folder: Path, name: str | None = None, *, folders: bool = False) -> list[Path]:
    """The temporary files (or folders) in a folder: all, or those of one name.

    A process that still writes one holds a lock on it, and ``remove_leftovers`` leaves it.
    """
    stem = r"\..*" if name is None else re.escape(_stem(name))
    wanted = stat.S_ISDIR if folders else stat.S_ISREG
    found = [path for path in folder.iterdir() if re.fullmatch(rf"{stem}\.[0-9a-f]{{16}}\.tmp", path.name, re.DOTALL)]
    return [path for path in found if wanted(path.lstat().st_mode)]


def remove_leftovers(folder: Path, name: str | None = None, *, folders: bool = False) -> None:
    """Removes the temporary files (or folders) that killed processes left: all in ``folder``, or those of one name."""
    found: list[Path] = []
    with suppress(OSError):  # a folder that may be written and not listed
        found = leftovers(folder, name, folders=folders)
    for path in found:
        with suppress(OSError):  # it is being written, or another's: in nobody's way
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if folders else path.unlink()
            finally:
                os.close(handle)


def flush(path: Path) -> None:
    """Forces a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a device")
        raise FolderError(f"{path}: is {kind}, and should be a file; copy the file there")


def _stem(name: str) -> str:
    return f".{name[:50]}"  # cut off: with what is added, a long one would be too long for the file system


def _temporary_name(path: Path) -> Path:
    # random: processes of two machines, or of two containers, may have the same number
    return path.with_name(f"{_stem(path.name)}.{secrets.token_hex(8)}.tmp")


@contextmanager
def _temporary_file(path: Path) -> Generator[tuple[Path, BinaryIO]]:
    """A file under a temporary name, locked while the block runs, and removed unless it was renamed."""
    while True:
        temporary = _temporary_name(path)
        try:
            with temporary.open("xb") as file:
                if _locked(file.fileno()):
                    yield temporary, file
                    return
        finally:
            with suppress(OSError):  # never made, or renamed
                temporary.unlink()


def _locked(handle: int) -> bool:
    """Locks what was just made. False when somebody who tidied up came between and removed it."""
    with suppress(OSError):  # some network file systems have no locks, and nothing is tidied up there
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fstat(handle).st_nlink > 0
