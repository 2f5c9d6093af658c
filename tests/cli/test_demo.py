"""The demo in short: it trains, writes, draws, and says how to go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest
from calling import Command

from clearhead import runs


@pytest.mark.parametrize("corpus", ["world-en", "world-zh"])
def test_it_trains_writes_and_draws(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: str
) -> None:
    """With 0.2 MB of text and two steps of a given model in the place of two minutes."""
    start = runs.start
    shape = {"context": 64, "layers": 1, "width": 32, "attention": {"heads": 2, "kv_heads": 2, "head_width": 16}}

    def short(asked: runs.Asked, events: runs.Events, **options: float) -> runs.Run:
        assert asked.table() == {"text": {"corpus": corpus}, "train": {"minutes": 2.0}}
        table = {
            "model": {**shape, "feed_forward": {"width": 64}},
            "train": {"batch": 2, "evaluations": 1, "evaluation_tokens": 200, "final_tokens": 200},
        }
        little = replace(asked, minutes=None, steps=2, megabytes=0.2, tokenizer="bytes", settings=[table])
        return start(little, events, **options)

    monkeypatch.setattr(runs, "start", short)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    done = command("demo", "--corpus", corpus)
    assert done.code == 0, done.err
    assert "A story by the model:" in done.out
    assert "no font" not in done.err  # the sentence of the picture is drawn in what ships
    assert "generate runs/demo-2" in done.out
    assert min(matplotlib.image.imread(tmp_path / "runs" / "demo-2" / "attention.png").shape[:2]) > 100


@pytest.mark.parametrize("out", [".", "..", "runs/..", "/"])
def test_a_folder_that_gets_no_number_is_refused(command: Command, tmp_path: Path, out: str) -> None:
    (tmp_path / "runs").mkdir()
    done = command("demo", "--out", out)
    assert done.code == 2
    assert f"error: --out {out}: exists already, and a number cannot be added to it; name a new folder" in done.err
