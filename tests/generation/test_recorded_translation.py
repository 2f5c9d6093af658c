"""Translations of one text after another, whose steps are recorded once: the bits of the passes themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.generation import Sampling, Translation, stream_translations, translate
from clearhead.language_model import LanguageModel
from clearhead.model import EncoderDecoderConfig, build, quantise, recorded, transformer
from clearhead.model.parts.config import FeedForwardConfig, NormConfig
from clearhead.native import library
from clearhead.tap import Site
from clearhead.watching import watch
from little_configs import TRANSLATOR
from little_translators import LETTERS, SEPARATOR

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler, or a processor without AVX2")

MARIAN = replace(
    TRANSLATOR,
    vocabulary=LETTERS.vocab_size,
    context=160,
    width=64,
    attention=replace(TRANSLATOR.attention, heads=4, kv_heads=4, head_width=16),
    feed_forward=FeedForwardConfig(kind="silu", width=106, bias=True),  # a multiple of 2 only, as the dial has it
    embedding_scale=8.0,
    tied=False,  # else random weights repeat the token before, and greedy search ends at once
)
CONFIGS = {
    "Marian": MARIAN,
    "grouped": replace(MARIAN, attention=replace(MARIAN.attention, kv_heads=2)),
    "before each part": replace(MARIAN, arrangement="pre", norm=NormConfig()),
    "gated": replace(MARIAN, feed_forward=FeedForwardConfig(width=96), output_bias=False, logit_softcap=4.0),
}
TEXTS = ["the cat", "a dog", "you", "a very long text. " * 6, "b b b", "zebra."]


def made(config: EncoderDecoderConfig = MARIAN, *, bits: int | None = None, seed: int = 0) -> LanguageModel:
    """With random weights, large enough that its translations differ."""
    network = build(config, seed=seed).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(1.0 if "norm" in name else 2.0)
    if bits is not None:
        quantise(network, bits)
    return LanguageModel(network, LETTERS)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Why each recording that is made cannot be used; None = it can."""
    found = list[str | None]()
    before = recorded.Recorded._recorded

    def recording(self: Any, ids: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        logits = before(self, ids, forward)
        found.append(self.refused)
        return logits

    monkeypatch.setattr(recorded.Recorded, "_recorded", recording)
    return found


def unrecorded(model: LanguageModel, texts: list[str], **search: Any) -> list[Translation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "recordable", lambda *given: False)
        return translate(model, texts, together=1, **search)


@pytest.mark.parametrize("beams", [1, 2, 5, 16])
@pytest.mark.parametrize("name", CONFIGS)
def test_they_have_the_bits_of_the_passes(name: str, beams: int, tapes: list[str | None]) -> None:
    model = made(CONFIGS[name])
    found = translate(model, TEXTS, together=1, beams=beams, best=beams)
    assert tapes == [None, None], "one for short texts, one for all after the long one"
    assert found == unrecorded(model, TEXTS, beams=beams, best=beams)
    assert len({each.logprob for each in found}) > 3


@pytest.mark.parametrize("bits", [8, 4])
def test_in_few_bits(bits: int, tapes: list[str | None]) -> None:
    model = made(replace(MARIAN, feed_forward=FeedForwardConfig(kind="silu", width=96, bias=True)), bits=bits)
    found = translate(model, TEXTS, together=1)
    assert tapes == [None, None]
    assert found == unrecorded(model, TEXTS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_half_precision(dtype: torch.dtype, tapes: list[str | None]) -> None:
    model = made()
    model.network.to(dtype)
    found = translate(model, TEXTS, together=1)
    assert tapes == [None, None]
    assert found == unrecorded(model, TEXTS)


def test_texts_translated_together_are_not_recorded(tapes: list[str | None]) -> None:
    model = made()
    found = translate(model, TEXTS, together=len(TEXTS))
    assert tapes == []
    alone = translate(model, TEXTS, together=1)
    assert [each.ids for each in found] == [each.ids for each in alone]


@pytest.mark.parametrize("beams", [1, 5])
def test_watched_translations_have_the_same_bits(beams: int) -> None:
    model = made()
    found = translate(model, TEXTS, together=1, beams=beams)
    with watch(model):
        assert translate(model, TEXTS, together=1, beams=beams) == found


@pytest.mark.parametrize("site", [Site(1), Site(1, "cross")], ids=str)
def test_a_record_of_a_greedy_translation_has_the_maps_of_one_pass(site: Site) -> None:
    model = made()
    with watch(model) as record:
        ids = translate(model, TEXTS[0], beams=1).ids
    with watch(model) as whole, torch.inference_mode():
        source = torch.tensor([[*LETTERS.encode(TEXTS[0]), SEPARATOR]])
        model.network(torch.tensor([[SEPARATOR, *ids[:-1]]]), source_BS=source)
    assert len(ids) > 5
    torch.testing.assert_close(record[0].map(site, 2)[:], whole[0].map(site, 2)[:], rtol=0, atol=1e-5)


def test_sampled_translations(tapes: list[str | None]) -> None:
    model, sampling = made(), Sampling(seed=3)
    found = translate(model, TEXTS, together=1, sampling=sampling)
    assert set(tapes) == {None}
    assert found == unrecorded(model, TEXTS, sampling=sampling)


def test_weights_changed_between_texts_are_those_used() -> None:
    model = made()

    def changing() -> Iterator[str]:
        yield TEXTS[0]
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.neg_()
        yield TEXTS[1]

    first, second = stream_translations(model, changing(), together=1)
    assert second == translate(model, TEXTS[1])
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.neg_()
    assert first == translate(model, TEXTS[0])
