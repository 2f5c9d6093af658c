"""Weights kept alone: ids in, logits out, watched and written again; a text is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from little_models import GPT2, QWEN3, ids, lively, saved

import clearhead as ch
from clearhead import hub
from clearhead.analysis import observe_ids
from clearhead.errors import FolderError, TextError
from clearhead.language_model import LanguageModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(params=["saved without one", "taken out of a folder"])
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "alone"
    if request.param == "saved without one":
        hub.save(folder, LanguageModel(lively(QWEN3), None))
    else:
        saved(folder, QWEN3)
        for name in TOKENIZER_FILES:
            (folder / name).unlink()
    return folder


def test_ids_in_and_logits_out(alone: Path) -> None:
    model = ch.load(alone)
    assert not model.has_tokenizer
    assert torch.equal(model(ids()), lively(QWEN3)(ids()))
    state = model.state(2, 23)
    steps_BTV = [model(ids_B1, state=state) for ids_B1 in ids().split(1, dim=1)]
    torch.testing.assert_close(torch.cat(steps_BTV, dim=1), model(ids()))


def test_it_is_watched(alone: Path) -> None:
    model = ch.load(alone)
    with torch.no_grad(), ch.watch(model, edits=[ch.Ablate(layer=0, head=1)]) as record:
        model(ids())
    assert record[1][0, 1].shape == (23, 23)
    seen = observe_ids(model, ids()[0])
    assert seen.tokens == [str(token) for token in ids()[0].tolist()]
    assert seen[1, 0].row_sum_error() < 1e-6
    ch.draw(seen, alone.parent / "seen.json")


def test_it_is_written_again(alone: Path, tmp_path: Path) -> None:
    hub.export(tmp_path / "out", ch.load(alone))
    assert not any((tmp_path / "out" / name).exists() for name in TOKENIZER_FILES)
    assert torch.equal(ch.load(tmp_path / "out")(ids()), lively(QWEN3)(ids()))
    assert hub.outline(tmp_path / "out").config == QWEN3


def test_a_text_is_refused_with_the_way_out(alone: Path) -> None:
    model = ch.load(alone)
    said = rf"^{alone}: the folder has no tokenizer, .*\(tokenizer.json, vocab.json and merges.txt, "
    for reads in (
        lambda: model.tokenizer,
        lambda: model("a"),
        lambda: model.ids("a"),
        lambda: ch.observe(model, "a"),
        lambda: ch.generate(model, "a"),
        lambda: ch.vectors(model, ["a"]),
        lambda: hub.load(alone, text=True),
    ):
        with pytest.raises(TextError, match=said):
            reads()


def test_where_it_is_needed_it_is_missed_before_the_weights_are_read(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearhead.hub.loading.to_ours", None)
    with pytest.raises(TextError, match="no tokenizer"):
        hub.load(alone, text=True)


def test_a_tokenizer_put_beside_it_is_used(tmp_path: Path) -> None:
    saved(tmp_path / "whole", GPT2)
    hub.save(tmp_path / "alone", LanguageModel(lively(GPT2), None))
    for name in TOKENIZER_FILES:
        (tmp_path / "alone" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert torch.equal(ch.load(tmp_path / "alone").logits("a cab"), ch.load(tmp_path / "whole").logits("a cab"))


def test_half_a_tokenizer_is_still_an_error(tmp_path: Path) -> None:
    saved(tmp_path, QWEN3)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FolderError, match=r"tokenizer.json: "):
        ch.load(tmp_path)
