"""How heads form: the atlas of each kept model, as one value, in files and in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

import clearhead as ch
from clearhead.drawing import HistoryTable, draw_history
from clearhead.drawing.history_table import bars
from clearhead.errors import FolderError, OptionError
from clearhead.language import speaking
from clearhead.tap import Site

TEXT = "the dog and the dog"
HOSTILE = "<script>alert(1)</script> \x1b[31m$x_1$ the dog"


SETTINGS = {
    "model.layers": 1, "model.width": 16, "model.context": 53, "train.batch": 4, "train.evaluations": 2,
    "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8}, "model.feed_forward": {"width": 32},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps that keeps 5 models; ``bare``, beside it, keeps none."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60)
    for name, steps, keep in (("bare", 2, None), ("run", 20, 5)):
        ch.train(
            folder / "text.txt",
            tokenizer="bytes",
            steps=steps,
            keep=keep,
            threads=1,
            settings=SETTINGS,
            out=folder / name,
        )
    return folder / "run"


def test_it_is_the_atlas_of_each_kept_model(run: Path) -> None:
    found = ch.history(run, TEXT)
    assert found.steps == (0, 5, 10, 15, 20)
    for step, atlas in found:
        model = ch.load(f"{run}@{step}")
        assert atlas == ch.observe(model, TEXT, keep="values").atlas()
        assert found[step] is atlas
    values_CLHM = found.values
    assert values_CLHM.shape == (5, 1, 2, len(found.measures))
    at = found.measures.index("previous")
    assert values_CLHM[3, 0, 1, at] == found[15][0, 1]["previous"]
    assert (found.sites, len(found)) == ((Site(0),), 5)


def test_the_loss_is_that_of_the_text(run: Path) -> None:
    found = ch.history(run, TEXT, measures=["entropy"])
    assert found.loss is not None
    for step, loss in zip(found.steps, found.loss, strict=True):
        model = ch.load(f"{run}@{step}")
        ids = model.encode(TEXT)
        logp_TV = model.logits(TEXT).double().log_softmax(-1)
        wanted = -logp_TV[:-1].gather(1, torch.tensor(ids)[1:, None]).mean()
        assert loss == pytest.approx(float(wanted), rel=1e-5)
    assert found.loss[-1] < found.loss[0]


def test_only_the_chosen_measures_are_there(run: Path) -> None:
    found = ch.history(run, TEXT, measures=("previous", "entropy"))
    assert found.measures == ("entropy", "previous")  # in the atlas's order
    whole = ch.history(run, TEXT)
    assert torch.equal(found.values[..., 1], whole.values[..., whole.measures.index("previous")])


def test_heads_are_ranked_by_how_much_they_change(run: Path) -> None:
    found = ch.history(run, TEXT)
    ranked = found.formed("entropy")
    values_CH = found.values[:, 0, :, found.measures.index("entropy")]
    spans = values_CH.amax(0) - values_CH.amin(0)
    assert [each.change for each in ranked] == pytest.approx(spans.sort(descending=True).values.tolist())
    assert ranked[0].values == tuple(values_CH[:, ranked[0].head].tolist())


def test_files(run: Path, tmp_path: Path) -> None:
    found = ch.history(run, HOSTILE, measures=["previous", "first"])
    for ending in ("png", "svg", "json"):
        draw_history(found, tmp_path / f"x.{ending}")
    draw_history(found, tmp_path / "zh.svg", language="zh")
    assert "写出名字的是变化最大的头" in (tmp_path / "zh.svg").read_text(encoding="utf-8")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "x.svg").read_text()
    assert "<script>" not in svg
    assert "\x1b" not in svg
    assert "loss of the text" in svg
    saved = json.loads((tmp_path / "x.json").read_text())
    assert (saved["schema"], saved["steps"]) == ("clearhead.history/1", [0, 5, 10, 15, 20])
    assert saved["loss"] == list(found.loss or ())
    assert saved["heads"][1]["previous"] == found.values[:, 0, 1, 1].tolist()
    with pytest.raises(OptionError, match=r"x\.gif"):
        draw_history(found, tmp_path / "x.gif")


def test_the_table(run: Path) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(HistoryTable(ch.history(run, TEXT, measures=["previous"]), top=1))
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "5 kept models, step 0 to 20; 2 heads" in shown
    assert "previous  weight on the token before" in shown
    assert len([line for line in shown.splitlines() if line.startswith("0.")]) == 1
    chinese = Console(file=io.StringIO(), width=120)
    with speaking("zh"):
        chinese.print(HistoryTable(ch.history(run, TEXT, measures=["previous"]), top=1))
    told = chinese.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "5 个保留的模型，第 0 到 20 步；2 个头" in told
    assert "变化最大的头：每个保留的模型一根竖条" in told


def test_bars_go_from_the_least_to_the_most() -> None:
    assert bars([0.0, None, 0.5, 1.0], 0.0, 1.0) == "▁ ▅█"
    assert bars([2.0, 2.0], 2.0, 2.0) == "▁▁"


def test_refusals(run: Path) -> None:
    with pytest.raises(FolderError, match=r"keeps no models of its steps, so how .* not known; .* train --keep 20"):
        ch.history(run.parent / "bare", TEXT)
    with pytest.raises(OptionError, match="history: there is no measure 'inducton'; did you mean 'induction'"):
        ch.history(run, TEXT, measures=["inducton"])
    with pytest.raises(OptionError, match="no head has sink on this text"):
        ch.history(run, TEXT, measures=["sink", "entropy"])
    with pytest.raises(OptionError, match="no measure was named"):
        ch.history(run, TEXT, measures=())
    found = ch.history(run, TEXT, measures=["entropy"])
    with pytest.raises(OptionError, match="there is no step 7; there are 0, 5, 10, 15, 20"):
        found[7]
    with pytest.raises(OptionError, match="history: there is no measure 'previous'"):
        found.formed("previous")
