"""The folder of a run: its name, who holds it, and what is left of a run that failed or was stopped."""

from __future__ import annotations

import fcntl
import glob
import os
import shlex
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearhead import hub
from clearhead.errors import FolderError, WriteError
from clearhead.files import leftovers, remove_leftovers
from clearhead.recipes import Recipe, Table, TextConfig, read_file, resolved
from clearhead.training import State, load_state, saved

RECIPE = "recipe.toml"
STATE = "state"
LOG = "log.jsonl"
CURVE = "loss.svg"
STDIN = ("stdin.txt", "stdin.jsonl")  # standard input, without and with a field


class Interrupted(KeyboardInterrupt):
    """A run was stopped on request. ``step``: after which its state was saved; None when nothing was, and no folder is
    left."""

    def __init__(self, folder: Path, step: int | None) -> None:
        self.folder, self.step = folder, step
        super().__init__(
            "stopped before the first step"
            if step is None
            else f"stopped; saved after step {step:,}; continue with clearhead.resume({str(folder)!r})"
        )


def name_of(config: TextConfig) -> str:
    """What a run over this text is called: the corpus, or the first source's name without its ending."""
    if config.corpus is not None:
        return config.corpus
    first = config.sources[0]
    if first == "-":
        return "stdin"
    path = Path(first).resolve()
    if not path.exists():  # a pattern: the folder it looks in
        path = Path(*(part for part in path.parts if not glob.has_magic(part)))
    if path.is_dir():
        return path.name or "run"
    unpacked = path.with_suffix("") if path.suffix in (".gz", ".xz", ".zst") else path
    return unpacked.stem.lstrip(".") or "run"


def reopen(folder: Path) -> tuple[Recipe, State | None]:
    """The recipe and newest state of a run folder; None when it was stopped before the first was saved.

    What a killed process left half-written is removed. Raises FolderError naming what is missing, truncated or altered.
    """
    if not (folder / RECIPE).exists():
        raise FolderError(
            f"{folder / RECIPE}: there is no such file; {folder} is not a run folder, or its run was stopped before it "
            "began; begin one with clearhead train TEXT"
        )
    remove_leftovers(folder)
    table: Table = read_file(folder / RECIPE)
    state = load_state(folder / STATE)
    if state is None and (folder / hub.WEIGHTS).exists():
        raise FolderError(
            f"{folder / STATE}: there is no saved state, so the run cannot go on; its model can still be used, "
            "and a new run begun with another --out"
        )
    return resolved(table), state


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Makes the run folder and holds it while the block runs; a block that fails before anything was saved leaves none.

    Raises FolderError when the folder exists and is not empty, or another process holds it.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise FolderError(f"{folder}: cannot be made: {fault.strerror}; choose another with --out") from None
    with held(folder):
        if set(folder.iterdir()) - set(leftovers(folder)):  # of a command that was killed before it had begun its run
            way = f"go on with it by `clearhead train --resume {folder}`, " if (folder / RECIPE).exists() else ""
            raise FolderError(f"{folder}: exists already; {way}choose another with --out, or remove it")
        remove_leftovers(folder)
        try:
            yield
        except BaseException:
            if saved(folder / STATE) is None:
                for name in (RECIPE, LOG, *STDIN):
                    (folder / name).unlink(missing_ok=True)
                for place in (folder / STATE, *([folder] if made else [])):
                    with suppress(OSError):  # never made, or others have put something there
                        place.rmdir()
            raise


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Keeps other processes from training in the folder while the block runs.

    Raises FolderError when there is no such folder, or another process holds it.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder; begin a run with clearhead train TEXT")
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
    """What stops the block says how to go on: Interrupted on request, WriteError for a disk that is full."""
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
    """The command that continues a run."""
    return f"clearhead train --resume {shlex.quote(str(folder))}"


def _saved_step(folder: Path) -> int | None:
    state = saved(folder / STATE)
    return None if state is None else int(state.stem)
