"""A dozen runs, each killed (kill -9) at random moments and resumed, end as the run that never was."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clearhead.runs.killing import Answer, Killer
from clearhead.runs.proof import difference, moment

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60
SHAPE = [
    "model.layers=1",
    "model.width=16",
    "model.context=16",
    "model.attention={heads=2,kv_heads=2,head_width=8}",
    "model.feed_forward={width=32}",
    "train.batch=4",
    "train.evaluations=4",
    "train.keep=7",
    "train.evaluation_tokens=300",
]
STEPS = 40
KINDS = {"plain": ("bpe", 0.0), "dropout": ("bytes", 0.2)}
EACH = 6  # runs of each kind; `clearhead prove` does as many as it is asked to


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "text.txt").write_text(TEXT)
    script = str(Path(__file__).with_name("killing.py"))
    with Killer(folder, [script], {"OMP_NUM_THREADS": "1"}) as killer:
        first = killer.do(train("run-first", "dropout"))
        assert first.end == 0, first.output
        yield killer


def train(out: str, kind: str) -> list[str]:
    tokenizer, dropout = KINDS[kind]
    settings = [word for setting in [*SHAPE, f"model.dropout={dropout}"] for word in ("--set", setting)]
    options = ["--out", out, "--steps", str(STEPS), "--threads", "1", "--tokenizer", tokenizer]
    return ["train", "text.txt", *options, *settings]


@pytest.fixture(scope="module", params=KINDS)
def whole(killer: Killer, request: pytest.FixtureRequest) -> tuple[str, Path, Answer]:
    """A run that was never interrupted: its kind, its folder, and what it took."""
    kind = request.param
    killer.do(train(f"run-{kind}-before", kind))  # fills the cache of tokens
    answer = killer.do(train(f"run-{kind}-whole", kind))
    assert answer.end == 0, answer.output
    return kind, killer.folder / f"run-{kind}-whole", answer


@pytest.mark.parametrize("number", range(EACH))
def test_a_killed_run_ends_as_one_that_was_not(killer: Killer, whole: tuple[str, Path, Answer], number: int):
    """The command is given again when it was killed before it had begun a run; from then on the run is resumed."""
    kind, folder, took = whole
    draw = random.Random(f"{kind} {number}")
    out = f"run-{kind}-{number}"
    kills, killed, ended = draw.choice([1, 1, 2, 3]), 0, False
    while not (ended and killed):
        if ended:  # it was faster than the one that was timed, and over before the moment came
            shutil.rmtree(killer.folder / out)
            took = replace(took, seconds=took.seconds / 2)
        begun = (killer.folder / out / "recipe.toml").exists()
        when = moment(draw, took) if kills or not killed else {}
        done = killer.do(["train", "--resume", out] if begun else train(out, kind), **when)
        assert done.killed or done.end == 0, done.output
        kills, killed, ended = max(0, kills - 1), killed + done.killed, not done.killed
    assert difference(folder, killer.folder / out) is None
