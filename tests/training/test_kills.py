"""Twenty runs, each killed (kill -9) at random moments and resumed, end as the run that never was."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from clearhead.training import load_state

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60
SHAPE = [
    "model.layers=1",
    "model.width=16",
    "model.context=16",
    "model.attention={heads=2,kv_heads=2,head_width=8}",
    "model.feed_forward={width=32}",
    "train.batch=4",
    "train.evaluations=4",
    "train.evaluation_tokens=300",
]
STEPS = 40
KINDS = {"plain": ("bpe", 0.0), "dropout": ("bytes", 0.2)}
EACH = 10  # runs of each kind


class Killer:
    """The process of killing.py: one job at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killing.py"))],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def do(self, arguments: list[str], **when: float) -> dict:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, **when}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "text.txt").write_text(TEXT)
    killer = Killer(folder)
    first = killer.do(train("run-first", "dropout"))
    assert first["end"] == 0, first["output"]
    yield killer
    killer.close()


def train(out: str, kind: str) -> list[str]:
    tokenizer, dropout = KINDS[kind]
    settings = [word for setting in [*SHAPE, f"model.dropout={dropout}"] for word in ("--set", setting)]
    options = ["--out", out, "--steps", str(STEPS), "--threads", "1", "--tokenizer", tokenizer]
    return ["train", "text.txt", *options, *settings]


@pytest.fixture(scope="module", params=KINDS)
def whole(killer: Killer, request: pytest.FixtureRequest) -> tuple[str, Path, dict]:
    """A run that was never interrupted: its kind, its folder, and what it took."""
    kind = request.param
    killer.do(train(f"run-{kind}-before", kind))  # fills the cache of tokens
    answer = killer.do(train(f"run-{kind}-whole", kind))
    assert answer["end"] == 0, answer["output"]
    return kind, killer.folder / f"run-{kind}-whole", answer


def same(one: Path, other: Path) -> None:
    """Every file of two run folders, to the bit; but for the clock."""
    files = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert {path.relative_to(other) for path in other.rglob("*") if path.is_file()} == files
    for file in files - {Path("log.jsonl"), Path("loss.svg"), Path(f"state/{STEPS:09d}.safetensors")}:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    assert log_of(one) == log_of(other)
    first, second = load_state(one / "state"), load_state(other / "state")
    assert first is not None
    assert second is not None
    for part in ("weights", "optimizer", "random"):
        a, b = getattr(first, part), getattr(second, part)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def log_of(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def moment(draw: random.Random, whole: dict) -> dict[str, float]:
    """Half of them anywhere in time, half at a touch of the disk: most of these are of saving."""
    if draw.random() < 0.5:
        return {"seconds": draw.uniform(0, whole["seconds"])}
    return {"touches": draw.randrange(1, whole["touches"] + 1)}


@pytest.mark.parametrize("number", range(EACH))
def test_a_killed_run_ends_as_one_that_was_not(killer: Killer, whole: tuple[str, Path, dict], number: int):
    """The command is given again when it was killed before it had begun a run; from then on the run is resumed."""
    kind, folder, took = whole
    draw = random.Random(f"{kind} {number}")
    out = f"run-{kind}-{number}"
    kills, killed = draw.choice([1, 1, 2, 3]), 0
    done = {"end": -signal.SIGKILL}
    while done["end"] == -signal.SIGKILL or not killed:
        if done["end"] == 0:  # it was faster than the one that was timed, and over before the moment came
            shutil.rmtree(killer.folder / out)
            took = {**took, "seconds": took["seconds"] / 2}
        begun = (killer.folder / out / "recipe.toml").exists()
        when = moment(draw, took) if kills or not killed else {}
        done = killer.do(["train", "--resume", out] if begun else train(out, kind), **when)
        assert done["end"] in (0, -signal.SIGKILL), done["output"]
        kills, killed = max(0, kills - 1), killed + (done["end"] == -signal.SIGKILL)
    same(folder, killer.folder / out)
