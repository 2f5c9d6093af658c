"""The state of a run on the disk: everything a continued run needs to end with the same bits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from clearhead.errors import FolderError
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
    """Sets torch's generators to what ``random_states`` gave."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def save_state(folder: Path, state: State) -> None:
    """Writes ``folder/<step>.safetensors`` unless it is there, whole or not at all, then removes all else.

    A crash at any instant leaves at least one whole state. Raises FolderError when the disk is full; the last state
    is then still there.
    """
    whole = folder / f"{state.progress.step:09d}.safetensors"
    if not whole.exists():
        parts = {"weights": state.weights, "optimizer": state.optimizer, "random": state.random}
        tensors = {f"{part}/{name}": tensor for part, group in parts.items() for name, tensor in group.items()}
        write_tensors(whole, tensors, {"progress": json.dumps(asdict(state.progress))})
    for other in folder.iterdir():
        if other != whole and other.is_file():
            other.unlink()


def saved(folder: Path) -> Path | None:
    """The newest state; None when nothing was saved."""
    return max(folder.glob("[0-9]*.safetensors"), default=None)


def load_state(folder: Path) -> State | None:
    """The newest state, or None when nothing was saved. Raises FolderError when it is truncated or altered."""
    path = saved(folder)
    if path is None:
        return None
    tensors, notes = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "random": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    try:
        _ = parts["random"]["cpu"]
        return State(progress=Progress(**json.loads(notes["progress"])), **parts)
    except (KeyError, TypeError, ValueError):
        raise FolderError(f"{path}: not a saved state of this version; copy it again from where it came") from None
