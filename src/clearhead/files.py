"""Safe file access: atomic writes, never through links, and bounded reads.

A folder may come from someone else, and what looks like a file may be a link, a pipe or a device.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedRandom, BufferedReader, BufferedWriter, FileIO
from pathlib import Path
from typing import Any, BinaryIO

from clearhead.errors import FolderError, OptionError, WriteError, shown

POINTER = b"version https://git-lfs"  # start of the pointer that a clone without Git LFS holds instead of a file
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FILE_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}

Paths = str | Path | Sequence[str | Path]


def paths_in(given: Paths, what: str) -> list[str]:
    """One path or several, as a list. Raises OptionError, naming it ``what``, for anything else."""
    paths = [given] if isinstance(given, str | Path) else given
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | Path) for path in paths):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"{what}: {shown(given)} was given; it takes a path or a list of paths")
    return list(map(str, paths))


def cache_folder(given: Path | None = None) -> Path:
    """``given``, or $CLEARHEAD_CACHE, or $XDG_CACHE_HOME/clearhead, or ~/.cache/clearhead. Safe to delete.

    Raises WriteError if that begins with ~ and the user has no home folder, as in some containers.
    """
    if given is not None:
        return given
    own = os.environ.get("CLEARHEAD_CACHE")
    place = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "clearhead")
    try:
        return place.expanduser()
    except RuntimeError as error:  # how pathlib reports a missing home folder
        raise WriteError(f"{place}: there is no such home folder; set CLEARHEAD_CACHE to a folder") from error


@contextmanager
def caching() -> Generator[None]:
    """Wrap whatever writes to the cache in this: a WriteError then says how to move the cache."""
    try:
        yield
    except WriteError as fault:
        raise WriteError(f"{fault}; set CLEARHEAD_CACHE to put this cache in another folder") from fault


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Yields a file that replaces ``path`` if the block succeeds and vanishes if it fails.

    It is written under a temporary name in the same folder, flushed to disk and renamed. A link at ``path`` is
    replaced; its target stays. Removes what earlier, killed writes of ``path`` left behind. Raises WriteError if the
    file cannot be written (missing folder, full disk, file-size limit, missing permission). Other errors of the block
    pass unchanged.
    """
    with ExitStack() as stack:
        with writing(path):
            remove_leftovers(path.parent, path.name)
            temporary, file = stack.enter_context(_temporary_file(path))
        yield file
        with writing(path):
            file.flush()
            # By name, not by handle: a library given the name may have replaced the file.
            temporary.chmod(os.fstat(file.fileno()).st_mode)
            flush(temporary)
            temporary.replace(path)
    with writing(path, replaced=True):
        flush(path.parent)


@contextmanager
def writing(path: Path, *, replaced: bool = False) -> Generator[None]:
    """Raises WriteError about ``path`` for an OSError in the block. ``replaced``: the new file is there already."""
    try:
        yield
    except OSError as fault:
        stands = os.path.exists(path)  # noqa: PTH110 (Path.exists raises where the name is too long)
        before = "; the old file is unchanged" if stands and not replaced else ""
        why, way = fault.strerror or str(fault), "choose a place that can be written"
        if fault.errno in FULL:
            way = "free some space or choose another place"
        if fault.errno == errno.ENOENT and not os.path.isdir(path.parent):  # noqa: PTH112 (as above)
            why, way = no_folder(path)
        raise WriteError(f"{path}: cannot be written: {why}{before}; {way}") from fault


def no_folder(path: Path) -> tuple[str, str]:
    """Why a file whose folder is missing cannot be written, and the way out."""
    return f"there is no folder {path.parent}", "create it, or choose another place"


def make_folder(path: Path) -> None:
    """Creates a folder, and those it lies in, unless it exists. Raises WriteError if it cannot."""
    with writing(path), suppress(FileExistsError):  # if it is not a folder, writing into it fails
        path.mkdir(parents=True)


class _Written(FileIO):
    """A new unbuffered file. A failed write raises WriteError about the file it will replace.

    This tells it apart from an OSError in whatever the block reads.
    """

    def __init__(self, temporary: Path, path: Path) -> None:
        super().__init__(temporary, "x")
        self._path = path

    def write(self, data: Any, /) -> int:
        with writing(self._path):
            return super().write(data)


def write_text(path: Path, text: str) -> None:
    """Atomically writes UTF-8 text to ``path``; raises as ``replacing`` does."""
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """Yields a folder that replaces ``path``, which must be missing or empty, if the block succeeds.

    Like ``replacing``, leaves nothing on failure and removes what killed processes left. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as temporary:
        yield temporary
        temporary.replace(path)
        flush(path.parent)


@contextmanager
def temporary_folder(path: Path, *, mode: int = 0o777) -> Generator[Path]:
    """Yields a new folder beside ``path``, named after it, which is removed after the block unless it was renamed.

    First removes those that killed processes left. Raises OSError.
    """
    remove_leftovers(path.parent, path.name, folders=True)
    while True:
        temporary = _temporary_name(path)
        temporary.mkdir(mode)
        handle = os.open(temporary, os.O_RDONLY)
        if _locked(handle):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        os.close(handle)
        shutil.rmtree(temporary, ignore_errors=True)


def updating(path: Path) -> BufferedRandom:
    """Opens a file for writing in place, creating it if missing.

    Raises FolderError for a link, a hard link or anything but a file, OSError if it cannot be opened.
    """
    with suppress(FileNotFoundError):
        _check_kind(path, path.lstat().st_mode)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        found = os.fstat(handle)
        _check_kind(path, found.st_mode)
        if found.st_nlink > 1:
            raise FolderError(
                f"{path}: is a hard link, so writing to it would change another file; replace it with a copy"
            )
        return os.fdopen(handle, "r+b")
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def reading(path: Path) -> Generator[BufferedReader]:
    """Opens a file for reading, following links. (Opening a pipe could block, and a device may never end.)

    Raises FolderError for a folder, pipe, socket, device or Git LFS pointer, OSError if the file is missing or
    unreadable.
    """
    _check_kind(path, path.stat().st_mode)  # before opening, which has side effects on some devices
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        _check_kind(path, os.fstat(file.fileno()).st_mode)
        if file.peek(len(POINTER)).startswith(POINTER):
            raise FolderError(
                f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull` in {path.parent}, or "
                "copy the file from the original"
            )
        yield file


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file. Raises FolderError if it has more than ``most``, and otherwise as ``reading``."""
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(size + 1)
        if len(content) > size:  # it is growing, or reports no size, as in /proc
            content += file.read(most + 1 - len(content))
    if (size := max(size, len(content))) > most:
        raise FolderError(f"{path}: altered: it has {size:,} bytes; at most {most:,} are read")
    return content


def check_name(path: Path) -> None:
    """Raises FolderError for a name that is not UTF-8, which safetensors and recipes cannot hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise FolderError(f"{path}: this name is not UTF-8; rename it, or choose another") from None


def refuse_link(folder: Path) -> None:
    """Raises FolderError if the folder is a link, since files written into it would end up elsewhere."""
    if folder.is_symlink():
        raise FolderError(f"{folder}: is a link, and should be a folder; move there what it leads to")


def leftovers(folder: Path, name: str | None = None, *, folders: bool = False) -> list[Path]:
    """The temporary files (or folders) in a folder: all, or those for one name.

    Some may still be in use: their process holds a lock, and ``remove_leftovers`` skips them.
    """
    stem = r"\..*" if name is None else re.escape(_stem(name))
    wanted = stat.S_ISDIR if folders else stat.S_ISREG
    found = [path for path in folder.iterdir() if re.fullmatch(rf"{stem}\.[0-9a-f]{{16}}\.tmp", path.name, re.DOTALL)]
    return [path for path in found if wanted(path.lstat().st_mode)]


def remove_leftovers(folder: Path, name: str | None = None, *, folders: bool = False) -> None:
    """Removes temporary files (or folders) of killed processes: all in ``folder``, or those for one name."""
    found: list[Path] = []
    with suppress(OSError):  # a folder may be writable but not listable
        found = leftovers(folder, name, folders=folders)
    for path in found:
        with suppress(OSError):  # still in use, or not ours: harmless
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if folders else path.unlink()
            finally:
                os.close(handle)


def flush(path: Path) -> None:
    """Flushes a file's bytes, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = FILE_KINDS.get(stat.S_IFMT(mode), "a device")
        raise FolderError(f"{path}: is {kind}, and should be a file; copy the file there")


def _stem(name: str) -> str:
    return f".{name[:50]}"  # cut, so that the suffix does not make it too long for the file system


def _temporary_name(path: Path) -> Path:
    # random, since two machines or containers can have the same process id
    return path.with_name(f"{_stem(path.name)}.{secrets.token_hex(8)}.tmp")


@contextmanager
def _temporary_file(path: Path) -> Generator[tuple[Path, BinaryIO]]:
    """A file under a temporary name, locked during the block and removed afterwards unless renamed."""
    while True:
        temporary = _temporary_name(path)
        try:
            with BufferedWriter(_Written(temporary, path)) as file:
                if _locked(file.fileno()):
                    yield temporary, file
                    return
        finally:
            with suppress(OSError):  # never created, or renamed
                temporary.unlink()


def _locked(handle: int) -> bool:
    """Locks a new file. False if a cleanup removed it in between."""
    with suppress(OSError):  # some network file systems have no locks, and no cleanup
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fstat(handle).st_nlink > 0
