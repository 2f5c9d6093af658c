"""The logit lens by layer and place: against its definition, for every kind of model; and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import shapes
from clearhead.analysis import lens, logit_lens, next_words
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVALS
from looked import BYTES
from toy_recurrent import Toy, ToyConfig

TEXT = "see it"
KINDS: dict[str, ModelConfig] = {
    "pre": QWEN3,
    "capped": shapes.MODELS["Gemma 3"],
    "post": replace(GPT2, arrangement="post"),
    "BERT": BERT,
    "convolution": RIVALS["convolution"],
}


def lively(config: ModelConfig) -> LanguageModel:
    return LanguageModel(shapes.lively(replace(config, vocabulary=BYTES.vocab_size)), BYTES)


@pytest.mark.parametrize("kind", KINDS)
def test_each_reading_is_the_stream_through_the_norm_and_the_output_layer(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = lively(KINDS[kind])
    monkeypatch.setattr(logit_lens, "AT_ONCE", 3 * lm.config.vocabulary)  # blocks of three places
    found = lens(lm, TEXT, top=4)
    with watch(lm, keep="residual") as record:
        final_TV = lm.logits(TEXT).double().log_softmax(-1)
    for row, site in enumerate(found.sites):
        x_1TE = record.only().output(site)[None]
        with torch.no_grad():
            logp_TV = lm.network.unembed(lm.network.finish(x_1TE))[0].double().log_softmax(-1)
        most = logp_TV.topk(4)
        assert torch.equal(found.ids_RTN[row], most.indices)
        torch.testing.assert_close(found.p_RTN[row].double(), most.values.exp(), rtol=1e-4, atol=1e-6)
        own_T = final_TV.argmax(-1)
        assert torch.equal(found.final_T, own_T)
        order_TV = logp_TV.argsort(dim=-1, descending=True).tolist()
        ranks = [order.index(own) + 1 for order, own in zip(order_TV, own_T.tolist(), strict=True)]
        assert found.rank_RT[row].tolist() == ranks
        kl_T = torch.nn.functional.kl_div(logp_TV, final_TV, reduction="none", log_target=True).sum(-1)
        torch.testing.assert_close(found.kl_RT[row].double(), kl_T, rtol=1e-4, atol=1e-5)
        entropy_T = -(logp_TV.exp() * logp_TV).sum(-1)
        torch.testing.assert_close(found.entropy_RT[row].double(), entropy_T, rtol=1e-4, atol=1e-5)
    assert found.kl_RT[-1].abs().max() == 0
    assert (found.rank_RT[-1] == 1).all()


def test_its_last_place_is_that_of_next() -> None:
    lm = lively(QWEN3)
    found, beside = lens(lm, TEXT, top=3), next_words(lm, TEXT, top=3, layers=True)
    for row, reading in enumerate(beside.layers):
        cell = found[row, -1]
        assert (cell.site, cell.place, cell.rank) == (reading.site, len(TEXT), reading.rank)
        assert [token for _, token, _ in cell.tokens] == [each.id for each in reading.candidates]
        assert cell.probability == pytest.approx(reading.probability, rel=1e-4)


def test_what_is_not_there_is_refused() -> None:
    found = lens(lively(QWEN3), "ab", top=1)
    with pytest.raises(OptionError, match=r"reading 4: the lens has readings 0 \(before the first layer\) to 3"):
        found[4, 0]
    with pytest.raises(OptionError, match="place 3: the text has places 0 to 2"):
        found[0, 3]
    with pytest.raises(OptionError, match="place 'a': it must be a number: places count from 0"):
        found[0, "a"]  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match=r"lens: tuned is 'x.safetensors'; it must be a tuned lens: .*read_lens"):
        lens(lively(QWEN3), "ab", tuned="x.safetensors")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="the text is empty"):
        lens(lively(QWEN3), "")
    with pytest.raises(OptionError, match="top is 0; it must be at least 1 and at most 257"):
        lens(lively(QWEN3), "a", top=0)
    toy = LanguageModel(Toy(ToyConfig(vocabulary=257, context=9, layers=1, width=6, heads=2)), BYTES)
    with pytest.raises(OptionError, match="lens: this model has no residual stream"):
        lens(toy, "ab")
    with pytest.raises(OptionError, match="lens needs a model that predicts masked tokens"):
        lens(lively(replace(BERT, prediction=None)), "ab")
