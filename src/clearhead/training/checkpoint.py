"""The saved state of a run: everything a resumed run needs to end with the same bits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.errors import ConfigError, FolderError, TrainingError
from clearhead.files import make_folder, refuse_link, remove_leftovers
from clearhead.plain import from_dict
from clearhead.tensorfile import read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come after ``step`` steps. The position in the data follows from the step."""

    step: int = 0
    seconds: float = 0.0  # used so far, over all sessions
    best_loss: float = float("inf")  # lowest validation loss, in nats per token
    best_step: int = 0
    log_bytes: int = 0  # length of log.jsonl
    loss_sum: float = 0.0  # over the steps since the last log line, in nats per token
    loss_steps: int = 0  # number of those steps
    begun: float = 0.0  # seconds used before the first step, where the schedule of a run by minutes starts
    reserve: float = 0.0  # seconds kept for the work after the last step, in a run by minutes


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingState:
    """Weights, optimizer state, random states and progress.

    average: of the weights, if the run keeps one (``Averaging.state``)
    settings: the run's settings, as nested plain values; a resumed run must match them
    """

    progress: Progress
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    average: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


def random_states() -> dict[str, Tensor]:
    """The states of torch's generators. Training uses no others."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Restores the output of ``random_states``. Raises TrainingError if torch rejects it."""
    try:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state(states["cuda"])
    except (RuntimeError, TypeError) as fault:
        raise TrainingError(f"this version of torch rejects the saved random state: {fault}") from None


def save_state(folder: Path, state: TrainingState) -> None:
    """Atomically writes ``folder/<step>.safetensors`` unless it exists, then removes older states.

    A crash at any moment leaves at least one complete state. Other files stay. Raises FolderError if the folder is a
    link or the disk is full; the last state is then still there.
    """
    refuse_link(folder)
    make_folder(folder)
    whole = folder / f"{state.progress.step:09d}.safetensors"
    if not whole.exists():
        groups = ("weights", "optimizer", "random", "average")
        parts: dict[str, dict[str, Tensor]] = {name: getattr(state, name) for name in groups}
        tensors = {f"{part}/{name}": tensor for part, group in parts.items() for name, tensor in group.items()}
        notes = {"progress": json.dumps(asdict(state.progress)), "settings": json.dumps(state.settings)}
        write_tensors(whole, tensors, notes)
    for other in _states(folder):
        if other != whole and not other.is_dir():
            other.unlink()
    remove_leftovers(folder)


def saved(folder: Path) -> Path | None:
    """Path of the newest state, or None if nothing was saved."""
    return max(_states(folder), key=lambda path: int(path.stem), default=None)


def _states(folder: Path) -> list[Path]:
    """All files named as ``save_state`` names them."""
    return [path for path in folder.glob("*.safetensors") if re.fullmatch("[0-9]{9,}", path.stem)]


def load_state(folder: Path) -> TrainingState | None:
    """Loads the newest state, or returns None if nothing was saved.

    Raises FolderError if the file is truncated or altered or has no checksum, or if the folder is a link.
    """
    refuse_link(folder)
    path = saved(folder)
    if path is None:
        return None
    tensors, notes = read_tensors(path, own=True)
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "random": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    try:
        _ = parts["random"]["cpu"]
        return TrainingState(
            progress=_progress(json.loads(notes["progress"])), settings=_table(json.loads(notes["settings"])), **parts
        )
    except (KeyError, TypeError, ValueError, RecursionError, ConfigError):
        raise FolderError(f"{path}: not a saved state of this version; copy it again from the original") from None


def _progress(values: Any) -> Progress:
    """Raises ConfigError, TypeError or ValueError if the values are not a progress."""
    known = dict(values)
    if (
        known.get("best_loss") == math.inf
    ):  # the default before the first evaluation; from_dict accepts finite numbers only
        del known["best_loss"]
    progress = from_dict(Progress, known)
    if any(isinstance(value, int) and not 0 <= value < 2**63 for value in asdict(progress).values()):
        raise ValueError("a count is negative or does not fit in 64 bits")
    if max(progress.best_step, progress.loss_steps) > progress.step:
        raise ValueError("something happened after the last step")
    return progress


def _table(values: Any) -> Mapping[str, Any]:
    """Raises ValueError if the values are not a table."""
    if not isinstance(values, dict):
        raise ValueError("settings must be a table")
    return cast(Mapping[str, Any], values)
