"""The memory of a run: the estimate against a process's growth, and refusal before allocating."""

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from little_runs import MIDDLING, MIXTURE, MODEL, TRAIN, config

from clearhead import machine
from clearhead.errors import MemoryNeededError
from clearhead.model import ModelConfig, build
from clearhead.recipes import Recipe
from clearhead.runs.begin import create
from clearhead.runs.folder import Claim
from clearhead.text import Tokenizer
from clearhead.training import check_memory, memory_needed
from clearhead.training.objective import batch_loss
from clearhead.training.optimizer import Optimizer
from clearhead.training.shapes import shape

SIZES = {
    "middling": MIDDLING,
    "mixture": MIXTURE,
    **{kind: shape(1, 257, 256, kind) for kind in ("lstm", "gru", "convolution")},
}
PROGRAM = """
import os, torch
from test_run_memory import SIZES, one_step, peak
torch.set_num_threads(1)
for name, config in SIZES.items():
    if os.fork() == 0:
        one_step(config, 1)  # the libraries' own
        before = peak()
        one_step(config, 32)
        print(name, peak() - before, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def taken() -> dict[str, int]:
    """What a process of its own grows by, from a step of one window to a step of 32, for each of SIZES."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: int(grown) for name, grown in map(str.split, done.stdout.splitlines())}


class TestMemory:
    def test_more_than_there_is_is_refused_before_it_is_taken(self, texts: Path, monkeypatch: pytest.MonkeyPatch):
        need = memory_needed(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", lambda device: need)
        check_memory(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", lambda device: need - 1)
        with pytest.raises(MemoryNeededError, match=r"on 2 texts of 8 tokens needs about .* GB are free; lower"):
            create(Claim(texts), Recipe(text=config("a.txt"), model=MODEL, train=TRAIN), Tokenizer.bytes())
        assert not (texts / "recipe.toml").exists()

    def test_on_a_gpu_its_own_counts(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(machine, "device", lambda: "cuda")
        need = memory_needed(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", {"cuda": need}.__getitem__)
        check_memory(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", {"cuda": need - 1}.__getitem__)
        with pytest.raises(MemoryNeededError, match=r"GB are free on cuda; lower train.batch"):
            check_memory(MODEL, TRAIN)

    @pytest.mark.parametrize("name", SIZES)
    def test_the_estimate_is_near_what_is_taken(self, name: str, taken: dict[str, int]):
        few, many = (memory_needed(SIZES[name], replace(TRAIN, batch=batch)) for batch in (1, 32))
        assert 0.7 * (many - few) < taken[name] < 1.4 * (many - few)

    def test_what_a_run_needs_grows_with_each_part(self):
        needs = [
            memory_needed(model, train)
            for model, train in [
                (MODEL, TRAIN),
                (MODEL, replace(TRAIN, batch=64)),
                (replace(MODEL, layers=9), replace(TRAIN, batch=64)),
                (replace(MODEL, layers=9, vocabulary=9_999), replace(TRAIN, batch=64)),
            ]
        ]
        assert needs == sorted(set(needs))


def one_step(config: ModelConfig, batch: int) -> None:
    """A step of training, in a process of its own."""
    import numpy as np

    from clearhead.text import Batch

    network = build(config, seed=0).train()
    ids_BT = np.zeros((batch, 256), dtype=np.int64)
    loss = batch_loss(network, Batch(ids_BT=ids_BT, targets_BT=ids_BT, documents_BT=None))
    loss.backward()
    Optimizer(network, TRAIN.optimizer).step(1.0)


def peak() -> int:
    """The most memory this process ever had, in bytes.

    On Linux not by getrusage: a new process has that figure from the one that started it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
