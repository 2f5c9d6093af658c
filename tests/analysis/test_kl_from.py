"""The divergence from the prediction of another record: by hand, from the logits of passes over both texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import clearhead as ch
from clearhead.errors import OptionError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.watching import TextRecord, edited, watch
from heads import KINDS, lively
from little_encoders import saved
from looked import BYTES

TEXT, OTHER = "我 see", "as it is"
MODEL = lively("grouped, normed, rotated", torch.float64)


def logp(model: LanguageModel, text: str, place: int = -1, edits: object = ()) -> Tensor:
    """The log-probabilities (V) after a place."""
    with torch.inference_mode(), edited(model, edits):  # type: ignore[arg-type]
        return model.network(model.ids(text))[0, place].log_softmax(-1)


def kl(logp_V: Tensor, logq_V: Tensor) -> float:
    return float((logp_V.exp() * (logp_V - logq_V)).sum())


@pytest.mark.parametrize("kind", ["grouped, normed, rotated", "biases, learned places", "sinks"])
def test_of_every_edit_it_is_the_divergence_of_two_softmaxes(kind: str) -> None:
    model = lively(kind, torch.float64)
    source = ch.observe(model, OTHER, keep="residual")
    base = logp(model, OTHER)
    found = ch.sweep(model, TEXT, "heads", ch.kl_from(source))
    assert found.base == pytest.approx(kl(base, logp(model, TEXT)), abs=1e-9)
    for entry in found.entries[::3]:
        assert entry.value == pytest.approx(kl(base, logp(model, TEXT, edits=entry.edits)), abs=1e-9)
    edit = ch.Ablate(layer=1, head=0)
    (values,) = ch.effect(model, TEXT, edit, measures=ch.kl_from(source)).measures.values()
    assert values == pytest.approx((found.base, kl(base, logp(model, TEXT, edits=edit))), abs=1e-9)


def test_the_place_there_by_number_or_word_and_here() -> None:
    source = ch.observe(MODEL, OTHER, keep="residual")
    at = source.tokens.index("t")
    for place in (at, at - len(source.tokens), "it"):
        found = ch.sweep(MODEL, TEXT, "parts", ch.kl_from(source, place), place=4)
        assert found.base == pytest.approx(kl(logp(MODEL, OTHER, at), logp(MODEL, TEXT, 4)), abs=1e-9)


def test_patching_all_of_the_last_place_takes_it_to_0() -> None:
    source = ch.observe(MODEL, OTHER, keep="residual")
    last = MODEL.config.layers - 1
    edit = ch.Patch(layer=last, kind="residual", source=source, at=-1, source_at=-1)
    (before, after) = next(iter(ch.effect(MODEL, TEXT, edit, measures=ch.kl_from(source)).measures.values()))
    assert before > 0.01
    assert after == pytest.approx(0, abs=1e-9)


def test_its_gradient_predicts_small_changes() -> None:
    source, e = ch.observe(MODEL, OTHER, keep="residual"), 1e-6
    edits = [ch.Scale(layer=layer, head=0, factor=1 + e) for layer in range(MODEL.config.layers)]
    run, predicted = (ch.sweep(MODEL, TEXT, edits, ch.kl_from(source), by=by) for by in ("run", "gradient"))
    for one, other in zip(run.entries, predicted.entries, strict=True):
        assert one.change / e == pytest.approx(other.change / e, rel=1e-3, abs=1e-3)


def test_of_an_edited_record_of_a_file_and_of_another_model(tmp_path: Path) -> None:
    """A file does not have its model, so the measured one reads it."""
    edit = ch.Ablate(layer=0, head=1)
    source = ch.observe(MODEL, OTHER, edits=edit, keep="residual")
    source.save(tmp_path / "x.safetensors")
    expected = kl(logp(MODEL, OTHER, edits=edit), logp(MODEL, TEXT))
    for each in (source, ch.read_record(tmp_path / "x.safetensors").only()):
        assert ch.sweep(MODEL, TEXT, [edit], ch.kl_from(each)).base == pytest.approx(expected, abs=1e-9)
    other = lively("biases, learned places", torch.float64)
    found = ch.sweep(MODEL, TEXT, [edit], ch.kl_from(ch.observe(other, TEXT, keep="residual")))
    assert found.base == pytest.approx(kl(logp(other, TEXT), logp(MODEL, TEXT)), abs=1e-9)


def test_measures_of_two_records_have_two_names() -> None:
    measures = [ch.kl_from(ch.observe(MODEL, text, keep="residual")) for text in (OTHER, "see")]
    found = ch.effect(MODEL, TEXT, ch.Ablate(layer=0, head=1), measures=measures)
    assert list(found.measures) == [
        "KL from the prediction of 'as it is', nats",
        "KL from the prediction of 'see', nats",
    ]


def test_of_a_text_with_a_mask_it_is_the_prediction_there(tmp_path: Path) -> None:
    model = saved(tmp_path, "BERT")
    text, other = "paris is the capital of [MASK] .", "[MASK] is"
    with torch.inference_mode():
        p, q = (model.network(model.ids(each))[0, at].log_softmax(-1) for each, at in ((other, 1), (text, 6)))
    found = ch.sweep(model, text, "heads", ch.kl_from(ch.observe(model, other, keep="residual")))
    assert found.base == pytest.approx(kl(p.double(), q.double()), rel=1e-3)  # float32


def test_passes_of_ones_own_end_at_their_last_place() -> None:
    with torch.inference_mode(), watch(MODEL, keep="residual") as record:
        MODEL.network(MODEL.ids(OTHER))
    found = ch.sweep(MODEL, TEXT, "heads", ch.kl_from(record.only()))
    assert found.base == pytest.approx(kl(logp(MODEL, OTHER), logp(MODEL, TEXT)), abs=1e-9)


def later() -> TextRecord:
    """Of a text whose first places were in the cache."""
    ids = MODEL.ids(OTHER)
    with torch.inference_mode():
        state = MODEL.network.state(1, 20)
        MODEL.network(ids[:, :4], state=state)
        with watch(MODEL, keep="residual") as record:
            MODEL.network(ids[:, 4:], state=state)
    return record.only()


WIDER = replace(KINDS["grouped, normed, rotated"], vocabulary=BYTES.vocab_size + 3)
LARGER = LanguageModel(build(WIDER, seed=0).double().eval(), BYTES)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ch.kl_from(OTHER), OptionError, "kl_from: 'as it is' was given; it takes one text of a record"),  # type: ignore[arg-type]
        (
            lambda: ch.kl_from(later()),
            WatchError,
            "the record has the stream of 5 of 9 places; watch the text from its",
        ),
        (lambda: ch.kl_from(ch.observe(MODEL, OTHER)), WatchError, "nothing was kept at .*; ask for it"),
        (
            lambda: ch.kl_from(ch.observe(MODEL, OTHER, keep="residual"), "see"),
            WatchError,
            "kl_from: place is 'see': the text has no such word",
        ),
        (
            lambda: ch.kl_from(ch.observe(MODEL, OTHER, keep="residual"), 99),
            WatchError,
            "kl_from: place is 99; the places are 0 to 8",
        ),
        (
            lambda: ch.kl_from(ch.observe(LARGER, OTHER, keep="residual")),
            OptionError,
            "kl_from: the record's model predicts 260 ids and this one 257; take one of as many",
        ),
    ],
)
def test_a_record_without_such_a_prediction_is_refused(
    make: Callable[[], ch.Measure], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ch.sweep(MODEL, TEXT, "heads", make())
