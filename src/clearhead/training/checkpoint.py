"""The state of a run on the disk: everything a continued run needs to end with the same bits."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ConfigError, FolderError, TrainingError
from clearhead.files import refuse_link, remove_leftovers
from clearhead.plain import from_dict
from clearhead.tensorfile import read_tensors, write_tensors


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands after ``step`` steps. The data position is the step itself."""

    step: int = 0
    seconds: float = 0.0  # used so far, all sessions together
    best_loss: float = float("inf")  # lowest validation loss, in nats per token
    best_step: int = 0
    log_bytes: int = 0  # length of log.jsonl
    loss_sum: float = 0.0  # of the steps since the log's last line, in nats per token
    loss_steps: int = 0  # how many they are
    begun: float = 0.0  # seconds used before the first step; the schedule of a run by minutes counts from here
    reserve: float = 0.0  # seconds kept for what comes after the last step of a run by minutes


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What is saved: weights, optimizer, random states and progress."""

    progress: Progress
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]


def random_states() -> dict[str, Tensor]:
    """torch's generators; training draws from no other."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Sets torch's generators to what ``random_states`` gave. Raises TrainingError when torch does not take it."""
    try:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state(states["cuda"])
    except (RuntimeError, TypeError) as fault:
        raise TrainingError(f"the saved random state is not one of this torch: {fault}") from None


def save_state(folder: Path, state: State) -> None:
    """Writes ``folder/<step>.safetensors`` unless it is there, whole or not at all, then removes the other states.

    A crash at any instant leaves at least one whole state. Files of other names stay. Raises FolderError when the
    folder is a link or the disk is full; the last state is then still there.
    """
    refuse_link(folder)
    whole = folder / f"{state.progress.step:09d}.safetensors"
    if not whole.exists():
        parts = {"weights": state.weights, "optimizer": state.optimizer, "random": state.random}
        tensors = {f"{part}/{name}": tensor for part, group in parts.items() for name, tensor in group.items()}
        write_tensors(whole, tensors, {"progress": json.dumps(asdict(state.progress))})
    for other in _states(folder):
        if other != whole and not other.is_dir():
            other.unlink()
    remove_leftovers(folder)


def saved(folder: Path) -> Path | None:
    """The newest state; None when nothing was saved."""
    return max(_states(folder), key=lambda path: int(path.stem), default=None)


def _states(folder: Path) -> list[Path]:
    """The files whose names ``save_state`` gives."""
    return [path for path in folder.glob("*.safetensors") if re.fullmatch("[0-9]{9,}", path.stem)]


def load_state(folder: Path) -> State | None:
    """The newest state, or None when nothing was saved.

    Raises FolderError when it is truncated or altered, has no checksum, or when the folder is a link.
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
        return State(progress=_progress(json.loads(notes["progress"])), **parts)
    except (KeyError, TypeError, ValueError, RecursionError, ConfigError):
        raise FolderError(f"{path}: not a saved state of this version; copy it again from where it came") from None


def _progress(values: Any) -> Progress:
    """Raises ConfigError, TypeError or ValueError for what is none."""
    known = dict(values)
    if known.get("best_loss") == math.inf:  # until one is known: the default, and no number that configs have
        del known["best_loss"]
    progress = from_dict(Progress, known)
    if any(isinstance(value, int) and not 0 <= value < 2**63 for value in asdict(progress).values()):
        raise ValueError("a count that is negative or beyond measure")
    return progress
