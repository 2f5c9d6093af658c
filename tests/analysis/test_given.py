"""Several texts, and ids in place of a text: each result is that of its text alone, from passes made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import clearhead as ch
from clearhead.errors import OptionError, TextError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.watching import watch
from heads import lively

MODEL = lively("grouped, normed, rotated", torch.float64)
BARE = LanguageModel(MODEL.network, None)  # weights without a tokenizer
TEXTS, OTHERS = ["我 see", "see it!", "it"], ["see it!", "我 see", "as"]
IDS = [MODEL.encode(text) for text in TEXTS]
A, B = (MODEL.encode(letter)[-1] for letter in "ab")


def last(ids: list[int], edits: Any = (), network: Any = MODEL.network) -> Tensor:
    """logits_V at the last place."""
    with torch.inference_mode(), watch(network, edits):
        return network(torch.tensor([ids]))[0, -1]


def test_effects_of_several_texts_and_of_ids() -> None:
    """A word or a place from the end is each text's own."""
    edit = ch.Ablate(layer=1, kind="feed_forward", at=-2)
    by_text = ch.effect(MODEL, TEXTS, edit, measures=ch.diff("a", "b"))
    by_ids = ch.effect(BARE, IDS, edit, measures=ch.diff(A, B))
    assert [each.text for each in by_text] == TEXTS
    assert [each.text for each in by_ids] == [None] * 3
    for found, same, ids in zip(by_text, by_ids, IDS, strict=True):
        before, after = last(ids), last(ids, ch.Ablate(layer=1, kind="feed_forward", at=len(ids) - 2))
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        assert found.kl == pytest.approx(float((p.exp() * (p - q)).sum()), abs=1e-9)
        ((_, (of_before, of_after)),) = found.measures.items()
        assert of_before == pytest.approx(float(before[A] - before[B]), abs=1e-9)
        assert of_after == pytest.approx(float(after[A] - after[B]), abs=1e-9)
        assert (same.kl, same.tokens) == (pytest.approx(found.kl, abs=1e-12), tuple(map(str, ids)))
        assert [each.id for each in same.candidates][:3] == before.topk(3).indices.tolist()


@pytest.mark.parametrize("by", ["run", "gradient"])
def test_sweeps_of_several_texts_and_of_ids(by: str) -> None:
    texts, ids = TEXTS[:2], IDS[:2]
    source = ch.observe(MODEL, OTHERS[:2], keep="heads")
    for given, model, measure in (
        (texts, MODEL, ch.diff("a", "b")),
        (list(map(torch.tensor, ids)), BARE, ch.diff(A, B)),
    ):
        every = ch.sweep(model, given, "heads", measure, source=source, by=by)
        for n, found in enumerate(every):
            alone = ch.sweep(MODEL, texts[n], "heads", ch.diff("a", "b"), source=source[n], by=by)
            assert [each.change for each in found.entries] == pytest.approx([each.change for each in alone.entries])
            edits = [entry.edits for entry in found.entries]
            if by == "run":
                changed = [last(ids[n], edit, MODEL) for edit in edits]
                assert [each.value for each in found.entries] == pytest.approx([float(x[A] - x[B]) for x in changed])
    for each, row in zip(ch.sweep(BARE, ids, "edges", ch.kl), ids, strict=True):
        assert len(each.entries) == len(row) * MODEL.config.layers


def test_lenses_of_several_texts_and_of_ids() -> None:
    by_text, by_ids = ch.lens(MODEL, TEXTS), ch.lens(BARE, IDS)
    for found, same, ids in zip(by_text, by_ids, IDS, strict=True):
        assert (found.tokenized.ids, same.tokenized.ids, same.tokenized.text) == (ids, ids, None)
        assert found[-1, -1].tokens[0][1] == int(last(ids).argmax())
        torch.testing.assert_close(found.kl_RT, same.kl_RT)


def test_one_row_of_ids_is_one_text() -> None:
    """As a list, a tuple, a tensor or an array."""
    ids: Any
    for ids in (IDS[0], tuple(IDS[0]), torch.tensor(IDS[0]), torch.tensor(IDS[0]).numpy(), list(torch.tensor(IDS[0]))):
        assert ch.effect(MODEL, ids, ch.Ablate(layer=0)).tokens == tuple(MODEL.labels(IDS[0]))
        assert len(ch.lens(MODEL, ids).tokenized.tokens) == len(IDS[0])


def test_what_was_given_as_ids_is_shown_by_its_tokens(tmp_path: Path) -> None:
    ids = IDS[2][1:]  # without the special token, whose label is escaped in HTML
    found = ch.sweep(MODEL, ids, "heads", ch.kl)
    assert found.heading == " ".join(MODEL.labels(ids))
    for ending in ("json", "html", "svg"):
        ch.draw_sweep(found, tmp_path / f"x.{ending}")
        ch.draw_lens(ch.lens(MODEL, ids), tmp_path / f"lens.{ending}")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["text"] is None
    assert found.heading in (tmp_path / "x.html").read_text(encoding="utf-8")
    effect = ch.effect(MODEL, ids, ch.Ablate(layer=0))
    assert effect.heading in effect._repr_html_()
    assert found.heading in found._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ch.effect(MODEL, 3, ch.Ablate(layer=0)), TextError, "ids: 3 was given; it must be one row of whole"),
        (lambda: ch.lens(MODEL, torch.ones(2, 3, dtype=torch.long)), OptionError, "lens: tensor.* one row of ids, or"),
        (lambda: ch.lens(MODEL, [1.5]), TextError, r"ids: \[1.5\] was given; it must be one row of whole numbers"),
        (lambda: ch.lens(MODEL, [[1, 999]]), TextError, "lens: the text has the id 999"),
        (lambda: ch.lens(MODEL, []), TextError, "lens: the text is empty"),
        (lambda: ch.lens(BARE, TEXTS), TextError, "the folder has no tokenizer"),
        (
            lambda: ch.sweep(MODEL, TEXTS, "heads", ch.kl, source=ch.observe(MODEL, OTHERS[:2], keep="heads")),
            OptionError,
            "sweep: 3 texts and 2 sources; give one source for each",
        ),
        (
            lambda: ch.sweep(MODEL, TEXTS, "heads", ch.kl, source=ch.observe(MODEL, TEXTS[0], keep="heads")),
            OptionError,
            "sweep: source is TextRecord.*; with several texts it must be a record of as many",
        ),
        (lambda: ch.effect(MODEL, TEXTS, ch.Ablate(layer=0, at="see")), WatchError, "the text has no such word"),
        (
            lambda: ch.sweep(MODEL, TEXTS, [ch.Ablate(layer=0, text=1)], ch.kl),
            WatchError,
            "each text is swept alone, as number 0; leave `text` out",
        ),
    ],
)
def test_what_is_no_text_is_refused(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
