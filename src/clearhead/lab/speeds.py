"""Speed and memory of training and generating, by length. Each kind of model is measured in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clearhead import machine
from clearhead.errors import ClearheadError
from clearhead.model import ModelConfig, build
from clearhead.plain import from_dict, to_dict
from clearhead.training.budget import random_step, stepper

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
BATCH_TOKENS = 4096  # of a training step, unless one text is longer
WRITTEN = 16  # tokens generated at the end of each length
STATUS = Path("/proc/self/status")

PROGRAM = "from clearhead.lab.speeds import main; main()"


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The speed and memory of an untrained model at one length.

    training: tokens a second; generating: new tokens a second, at the end of a text of that length
    training_bytes: peak beyond what the process held before its first model: weights, optimizer, activations, libraries
    state_bytes: exact size of the state that generation carries along
    """

    kind: str
    length: int
    training: float
    training_bytes: int
    generating: float
    state_bytes: int


def speeds(name: str, config: ModelConfig, lengths: Sequence[int] = LENGTHS) -> tuple[Speed, ...]:
    """Measures one model at each length. Raises ClearheadError if its process fails."""
    table = {
        "name": name,
        "model": to_dict(config),
        "lengths": list(lengths),
        "threads": torch.get_num_threads(),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(table)], capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ClearheadError(f"measuring the speed of {name} failed ({last}); leave it out with --no-speeds")
    return tuple(from_dict(Speed, each) for each in json.loads(done.stdout))


def main() -> None:
    """The process: a table as JSON in its argument, the speeds as JSON on standard output."""
    table: dict[str, Any] = json.loads(sys.argv[1])
    torch.set_num_threads(table["threads"])
    config = from_dict(ModelConfig, table["model"])
    before = _held()
    # The shortest first: the peak of a process never falls.
    found = [_measured(table["name"], config, length, before) for length in sorted(table["lengths"])]
    sys.stdout.write(json.dumps([to_dict(each) for each in found]))


def _measured(name: str, config: ModelConfig, length: int, before: int) -> Speed:
    longer = replace(config, context=length)
    batch = max(1, BATCH_TOKENS // length)
    step = stepper(longer, random_step(longer, batch), "float32")
    step()
    training = batch * length / machine.seconds(step, 2)
    peak = max(0, _peak() - before)
    del step
    network = build(longer, seed=0).to(machine.device()).eval()
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(config.vocabulary, (1, length), generator=generator).to(network.device)
    state = network.state(1, length)
    with torch.no_grad():
        network(ids_BT[:, : length - WRITTEN], state=state, last=True)

        def write() -> None:
            network(ids_BT[:, state.length : state.length + 1], state=state, last=True).argmax().item()

        seconds = machine.median_seconds(write, WRITTEN)
    return Speed(
        kind=name,
        length=length,
        training=training,
        training_bytes=peak,
        generating=1 / seconds,
        state_bytes=network.state_bytes(1, length),
    )


def _peak() -> int:
    """The most memory held so far, in bytes: of the GPU, or of this process."""
    if machine.device() == "cuda":
        return torch.cuda.max_memory_allocated()
    if STATUS.exists():  # on Linux, getrusage gives a new process the figure of the one that started it
        return _of_status("VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _held() -> int:
    """The memory held now, in bytes."""
    if machine.device() == "cuda":
        return torch.cuda.memory_allocated()
    return _of_status("VmRSS:") if STATUS.exists() else _peak()


def _of_status(name: str) -> int:
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024
