"""The run folder: its name, its lock, and cleaning up after a run that failed or was stopped."""

from __future__ import annotations

import fcntl
import glob
import os
import shlex
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clearhead import hub
from clearhead.errors import FolderError, WriteError
from clearhead.files import check_name, leftovers, remove_leftovers, replacing, writing
from clearhead.recipes import Recipe, TextConfig, read_recipe
from clearhead.training import TrainingState, load_state, saved

RECIPE = "recipe.toml"
STATE = "state"
LOG = "log.jsonl"
CURVE = "loss.svg"
STDIN = ("stdin.txt", "stdin.jsonl")  # copy of standard input, without and with --field


class Interrupted(KeyboardInterrupt):
    """A run was stopped on request. ``step`` is the last one saved; None if nothing was, and then no folder is left."""

    def __init__(self, folder: Path, step: int | None) -> None:
        self.folder, self.step = folder, step
        super().__init__(
            "stopped before the first step"
            if step is None
            else f"stopped; saved after step {step:,}; continue with clearhead.resume({str(folder)!r})"
        )


def name_of(config: TextConfig) -> str:
    """A name for a run on this text: the corpus, or the first source's name without its suffix."""
    if config.corpus is not None:
        return config.corpus
    first = config.sources[0]
    if first == "-":
        return "stdin"
    path = Path(first).resolve()
    if not path.exists():  # a pattern: use its folder
        path = Path(*(part for part in path.parts if not glob.has_magic(part)))
    if path.is_dir():
        return path.name or "run"
    unpacked = path.with_suffix("") if path.suffix in (".gz", ".xz", ".zst") else path
    return unpacked.stem.lstrip(".") or "run"


def reopen(folder: Path) -> tuple[Recipe, TrainingState | None]:
    """The recipe and newest state of a run folder. The state is None if the run stopped before saving one.

    Removes half-written files that a killed process left. Raises FolderError naming what is missing, truncated or
    altered.
    """
    if not (folder / RECIPE).exists():
        raise FolderError(
            f"{folder / RECIPE}: there is no such file; {folder} is not a run folder, or its run was stopped before it "
            "began; start one with clearhead train TEXT"
        )
    remove_leftovers(folder)
    recipe = read_recipe(folder / RECIPE)
    state = load_state(folder / STATE)
    if state is None and (folder / hub.WEIGHTS).exists():
        raise FolderError(
            f"{folder / STATE}: there is no saved state, so the run cannot be resumed; its model can still be used, "
            "or start a new run with another --out"
        )
    return recipe, state


class Claim:
    """A run folder in which nothing has been saved yet, and the files and folders that this process made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[Path, int] = {}  # open descriptors, since the inode of an open file is given to no other

    @contextmanager
    def writing(self, name: str) -> Generator[BinaryIO]:
        """``files.replacing`` for a new file. Raises FolderError if somebody else has put one there meanwhile."""
        path = self._new(name)
        with replacing(path) as file:
            self._made[path] = os.dup(file.fileno())
            yield file

    def make(self) -> None:
        """Makes what training writes in place before it saves anything: the empty log and the folder of the state."""
        log, state = self._new(LOG), self._new(STATE)
        with writing(log):
            self._made[log] = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with writing(state):
            state.mkdir()
            self._made[state] = os.open(state, os.O_RDONLY)

    def undo(self) -> None:
        """Removes what this process made, except what is no longer the same file and folders that are not empty."""
        for path, handle in self._made.items():
            with suppress(OSError):  # gone, or somebody else has put files there
                ours = os.fstat(handle)
                if os.path.samestat(path.lstat(), ours):
                    path.rmdir() if stat.S_ISDIR(ours.st_mode) else path.unlink()

    def close(self) -> None:
        """Closes what is open. Nothing can be undone any more."""
        for handle in self._made.values():
            os.close(handle)
        self._made.clear()

    def _new(self, name: str) -> Path:
        path = self.folder / name
        if os.path.lexists(path):
            raise FolderError(f"{path}: was put there while the run was starting; choose another folder with --out")
        return path


@contextmanager
def claimed(folder: Path) -> Generator[Claim]:
    """Creates the run folder and locks it during the block. If the block fails before saving anything, it is undone.

    Then everything that this process made is removed, and nothing else. Raises FolderError if the folder exists and is
    not empty, or if another process has locked it.
    """
    check_name(folder)
    made = True
    try:
        folder.mkdir(parents=True)
    except OSError as fault:
        if not folder.is_dir():
            raise FolderError(f"{folder}: cannot be created: {fault.strerror}; choose another with --out") from None
        made = False
    with held(folder):
        if set(folder.iterdir()) - set(leftovers(folder)):  # leftovers: of a command killed before its run began
            way = f"resume it with `clearhead train --resume {folder}`, " if (folder / RECIPE).exists() else ""
            raise FolderError(f"{folder}: exists already; {way}choose another with --out, or remove it")
        remove_leftovers(folder)
        claim = Claim(folder)
        try:
            yield claim
        except BaseException:
            if saved(folder / STATE) is None:
                claim.undo()
                if made:
                    with suppress(OSError):  # somebody else has put files there
                        folder.rmdir()
            raise
        finally:
            claim.close()


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Locks the folder during the block, so that no other process trains in it.

    Raises FolderError if the folder does not exist, or if another process has locked it.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder; start a run with clearhead train TEXT")
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(
                f"{folder}: another process is training in it; wait until it is done, or choose another with --out"
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def resumable(folder: Path) -> Generator[None]:
    """Adds how to resume to what stops the block: raises Interrupted on request, WriteError if the disk is full."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(folder, _saved_step(folder)) from None
    except WriteError as fault:
        step = _saved_step(folder)
        if step is None:
            raise
        raise WriteError(f"{fault}; then continue after step {step:,} with {resuming(folder)}") from fault


def resuming(folder: Path) -> str:
    """The command that resumes a run."""
    return f"clearhead train --resume {shlex.quote(str(folder))}"


def _saved_step(folder: Path) -> int | None:
    state = saved(folder / STATE)
    return None if state is None else int(state.stem)
