"""``clearhead change`` and ``clearhead history``: tables, JSON, pictures and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import SMALL, call

import clearhead as ch

TEXT = "the dog"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60)
    assert call("train", "text.txt", "--steps", 20, "--keep", 5, *SMALL, "--out", "run", folder=folder).code == 0
    assert call("train", "text.txt", "--steps", 2, *SMALL, "--out", "bare", folder=folder).code == 0
    return folder / "run"


def test_the_verbs(run: Path) -> None:
    def asked(*words: str):
        return call(*words, "--threads", "1", folder=run.parent)

    table = asked("history", "run", TEXT, "--measure", "previous", "--top", "2")
    assert (table.code, table.err) == (0, "")
    assert table.out.startswith(f"run: {TEXT}\n")
    done = asked("history", "run", TEXT, "--out", "h.svg")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("h.svg: 2 heads in 5 models, ")
    changed = asked("change", "run@0", "run", TEXT)
    assert (changed.code, changed.err) == (0, "")
    names = [line.split()[0] for line in changed.out.splitlines()[1:3]]
    ranked = ch.change(ch.load(f"{run}@0"), ch.load(run), TEXT).by("attention")
    assert names == [row.name for row in ranked]
    assert json.loads(asked("change", "run@0", "run", TEXT, "the fox", "--json").out)["texts"] == [TEXT, "the fox"]
    assert asked("change", "run@0", "run", TEXT, "--out", "c.html").err.startswith("c.html: what changed in 2 heads")
    assert "give one of them" in asked("change", "run@0", "run", TEXT, "--json", "--out", "c.png").err
    assert "change: there is no column" in asked("change", "run@0", "run", TEXT, "--sort", "x").err
    assert "0 heads" not in asked("look", "run@5", TEXT).out
