"""What changed between two models: against numpy by hand, in every kind of model, and what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearhead.analysis import CHANGES, change
from clearhead.drawing import draw_atlas
from clearhead.errors import OptionError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.tap import Site
from clearhead.text import Tokenizer
from heads import KINDS, lively
from little_configs import QWEN3, RIVALS
from little_translators import translator
from looked import BYTES, HEADS, LAYERS, heads_by_hand, small, speaking

TEXT, OTHER = "a cat saw a cat", "no"


def moved(model: LanguageModel, amount: float = 0.4) -> LanguageModel:
    """The model after something like more training."""
    network = copy.deepcopy(model.network)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(amount * parameter.std() * noise if parameter.dim() > 1 else 0.1 * noise)
    return LanguageModel(network, model.tokenizer, name="moved")


def by_definition(before: LanguageModel, after: LanguageModel, texts: list[str]) -> dict[str, np.ndarray]:
    """The columns, (layers, heads), from whole tables of weights."""
    apart, squares, places = 0.0, 0.0, 0
    for text in texts:
        ids = before.encode(text)
        (p, a), (w, b) = (heads_by_hand(each.network, ids) for each in (before, after))
        apart = apart + np.abs(p - w).sum((2, 3)) / 2
        squares = squares + np.stack([(x**2).sum((2, 3)) for x in (b - a, a, b)])
        places += len(ids)
    found = np.sqrt(squares / places)
    return {"attention": apart / places, "output": found[0], "before": found[1], "after": found[2]}


@pytest.mark.parametrize("texts", [TEXT, [TEXT], [TEXT, OTHER, TEXT]])
def test_every_column_is_its_definition(texts: str | list[str]) -> None:
    before, after = speaking(), moved(speaking())
    found = change(before, after, texts)
    wanted = by_definition(before, after, [texts] if isinstance(texts, str) else texts)
    assert found.columns == tuple(CHANGES)
    for layer in range(LAYERS):
        for head in range(HEADS):
            for name in CHANGES:
                assert found[layer, head][name] == pytest.approx(wanted[name][layer, head], rel=2e-4, abs=1e-5)
    assert found.tokens == sum(len(before.encode(each)) for each in found.texts)
    assert max(row.values["attention"] or 0 for row in found) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_has_not_changed_from_itself_and_both_ways_are_as_far(kind: str) -> None:
    model = lively(kind, torch.float64)
    other = moved(model)
    text = "我 see it"
    assert all(row.values["attention"] == row.values["output"] == 0 for row in change(model, model, text))
    there, back = change(model, other, text), change(other, model, text)
    for one, two in zip(there, back, strict=True):
        assert one.values["attention"] == two.values["attention"] > 0
        assert one.values["output"] == pytest.approx(two.values["output"])
        assert (one.values["before"], one.values["after"]) == (two.values["after"], two.values["before"])


def test_of_one_head_only_that_head_changes() -> None:
    """The queries of layer 1, head 2 are turned round; nothing before or beside it differs."""
    before, after = speaking(), LanguageModel(copy.deepcopy(small()), BYTES)
    width = small().config.attention.head_width
    with torch.no_grad():
        part = after.network.get_parameter("blocks.1.attention.qkv.weight")
        part[2 * width : 3 * width] *= -1
    found = change(before, after, TEXT)
    ranked = found.by("attention")
    assert ranked.rows[0].name == "1.2"
    assert ranked.rows[0].values["attention"] > 0.05
    assert all(row.values["attention"] < 1e-6 for row in ranked.rows[1:])
    assert all(row.values["output"] < 1e-5 for row in found if row.name != "1.2")


def test_a_translator_is_compared_in_all_its_stacks() -> None:
    one, other = translator(), translator(steps=90)
    found = change(one, other, "abc", target="aabbcc")
    assert {str(row.site) for row in found} == {
        *(f"encoder.{n}.self" for n in range(3)),
        *(f"decoder.{n}.{kind}" for n in range(2) for kind in ("self", "cross")),
    }
    assert all(0 < row.values["attention"] < 1 for row in found)
    with pytest.raises(OptionError, match="each in its own way; give one target for both"):
        change(one, other, "abc")


@pytest.mark.parametrize("kind", ["lstm-attention", "gru-attention"])
def test_recurrent_models_with_attention(kind: str) -> None:
    config = replace(RIVALS[kind], vocabulary=BYTES.vocab_size)
    one, other = (LanguageModel(build(config, seed=seed).eval(), BYTES) for seed in (1, 2))
    found = change(one, other, TEXT)
    assert {row.site.layer for row in found} == {config.layers - 1}
    assert all(row.values["attention"] is not None for row in found)


class TestRefused:
    def test_other_shapes(self) -> None:
        with pytest.raises(OptionError, match=r"at decoder\.2\.self the first model has 0 heads, the second model 6"):
            change(speaking(), speaking(layers=3), TEXT)
        with pytest.raises(OptionError, match=r"at decoder\.0\.self .* 6 heads, the second model 4"):
            change(speaking(), speaking(heads=4), TEXT)
        one, other = (
            LanguageModel(build(replace(QWEN3, vocabulary=257, width=width), seed=0), BYTES) for width in (20, 22)
        )
        with pytest.raises(OptionError, match="the first model is 20 wide, the second model 22; give models of one"):
            change(one, other, TEXT)

    def test_other_masks(self) -> None:
        with pytest.raises(WatchError, match="the other map hides other keys"):
            change(speaking(), speaking(window=3), TEXT)

    def test_other_tokenizers(self) -> None:
        letters = Tokenizer.characters(["catsw "])
        other = LanguageModel(small(), letters)
        with pytest.raises(OptionError, match=r"have other tokenizers: at place 0, .* give models that read the same"):
            change(speaking(), other, TEXT)

    def test_no_text_and_what_goes_with_one(self) -> None:
        with pytest.raises(OptionError, match="no text was given"):
            change(speaking(), speaking(), [])
        with pytest.raises(OptionError, match="was given with 2 texts; give it with one text"):
            change(speaking(), speaking(), [TEXT, OTHER], pair="x")
        with pytest.raises(OptionError, match="change: there is no column 'attentoin'; did you mean 'attention'"):
            change(speaking(), moved(speaking()), TEXT).by("attentoin")


def test_it_is_printed_drawn_and_saved_as_an_atlas_is(tmp_path: Path) -> None:
    found = change(speaking(), moved(speaking()), TEXT).by("attention")
    assert str(found).splitlines()[0].split() == ["head", *CHANGES]
    assert "<th>0.0</th>" in found._repr_html_()
    for ending in ("png", "svg", "html", "json"):
        draw_atlas(found, tmp_path / f"x.{ending}")
    saved = json.loads((tmp_path / "x.json").read_text())
    assert (saved["schema"], saved["first_model"], saved["second_model"]) == ("clearhead.change/1", None, "moved")
    assert saved["texts"] == [TEXT]
    assert saved["columns"] == CHANGES
    assert saved["heads"][0]["attention"] == found.rows[0].values["attention"]
    assert found[0, 0]["before"] == next(row for row in found if row.site == Site(0) and row.head == 0).values["before"]
