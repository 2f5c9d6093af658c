"""The gradient of a prediction: against finite differences in float64, for every kind of model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clearhead as ch
from clearhead.analysis import attribution
from clearhead.errors import OptionError, TextError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, build
from clearhead.text import Tokenizer
from clearhead.watching import watch
from little_configs import BERT, QWEN3, RIVALS

BYTES = Tokenizer.bytes()
KINDS: dict[str, ModelConfig] = {"decoder": QWEN3, **RIVALS}
TEXT = "abcabd"


def model(config: ModelConfig) -> LanguageModel:
    network = build(replace(config, vocabulary=257), seed=0).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.mul_(2 if "recurrence" in name else 8)
    return LanguageModel(network, BYTES)


def logprob(model: LanguageModel, place: int, target: int, moved: dict[tuple[int, int], float]) -> float:
    """log p(target) at a place, with single numbers of the embeddings changed."""

    def move(module: nn.Module, given: object, x_BTE: Tensor) -> Tensor:
        x_BTE = x_BTE.clone()
        for (row, column), step in moved.items():
            x_BTE[0, row, column] += step
        return x_BTE

    hook = model.network.embedding.register_forward_hook(move)
    with torch.no_grad():
        logits_V = model.network(model.ids(TEXT))[0, place]
    hook.remove()
    return float(logits_V.log_softmax(-1)[target])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_slope_of_the_log_probability(kind: str) -> None:
    lm, place, step = model(KINDS[kind]), 4, 1e-5
    found = attribution(lm, TEXT, query=place)
    assert found.target == ord("b")
    assert found.given
    assert found.logprob == pytest.approx(logprob(lm, place, found.target, {}), abs=1e-12)
    x_TE = lm.network.embedding(lm.ids(TEXT))[0].detach()
    for t in range(len(x_TE)):
        slopes = [
            (logprob(lm, place, found.target, {(t, e): step}) - logprob(lm, place, found.target, {(t, e): -step}))
            / (2 * step)
            for e in range(x_TE.shape[1])
        ]
        assert found.norms[t] == pytest.approx(math.hypot(*slopes), rel=1e-5, abs=1e-7)
        product = sum(slope * float(x) for slope, x in zip(slopes, x_TE[t], strict=True))
        assert found.products[t] == pytest.approx(product, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_later_tokens_have_a_gradient_of_exactly_zero(kind: str) -> None:
    found = attribution(model(KINDS[kind]), TEXT, query=3)
    assert found.norms[4:] == found.products[4:] == (0.0,) * (len(found.norms) - 4)
    assert min(found.norms[1:4]) > 0
    assert sum(found.shares) == pytest.approx(1)
    assert len(found.words.tokens) == len(TEXT) + 1


def test_a_convolution_reaches_no_further_than_it_says() -> None:
    config: Any = replace(KINDS["convolution"], layers=1)
    found = attribution(model(config), TEXT)
    assert [norm > 0 for norm in found.norms] == [place > len(TEXT) - config.reach for place in range(len(TEXT) + 1)]


def test_the_likeliest_token_is_predicted_after_the_end_or_the_one_asked_for() -> None:
    lm = model(QWEN3)
    likeliest = int(lm.logits(TEXT)[-1].argmax())
    assert (attribution(lm, TEXT).target, attribution(lm, TEXT).given) == (likeliest, False)
    assert attribution(lm, TEXT, target="z").target == attribution(lm, TEXT, query=-1, target=122).target == ord("z")


def test_an_encoder_predicts_the_token_itself_from_both_sides() -> None:
    found = attribution(model(BERT), TEXT, query=3)
    assert not found.given
    assert min(found.norms) > 0


def test_the_model_is_left_as_it_was() -> None:
    lm = model(replace(RIVALS["lstm"], dropout=0.9))
    lm.network.train()
    with torch.inference_mode():
        first, second = attribution(lm, TEXT), attribution(lm, TEXT)
    assert first.norms == second.norms
    assert lm.network.training
    assert all(p.grad is None for p in lm.network.parameters())
    assert not lm.network.embedding(lm.ids(TEXT)).is_leaf


def test_the_likeliest_token_is_one_that_the_tokenizer_has() -> None:
    """A matrix may have more rows than the tokenizer has tokens; the last row here is the likeliest by far."""
    lm = LanguageModel(build(replace(QWEN3, vocabulary=264, tied=False), seed=0), BYTES)
    with torch.no_grad():
        lm.network.output.weight[263] = 1000 * lm.network.hidden(lm.ids(TEXT))[0, -1]
    assert int(lm.logits(TEXT)[-1].argmax()) == 263
    assert attribution(lm, TEXT).target < 257


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": 7}, r"^query 7: the text has places 0 to 6$"),
        ({"query": -8}, r"^query -8: "),
        ({"target": "ab"}, r"^target 'ab': it has 2 tokens in this model; give a text of one token, or an id$"),
        ({"target": 257}, r"^target 257: the model has ids 0 to 256$"),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        attribution(model(QWEN3), TEXT, **options)


def test_a_text_that_is_empty_or_too_long_and_a_model_without_predictions_are_refused() -> None:
    with pytest.raises(OptionError, match="the text is empty"):
        attribution(model(QWEN3), "")
    with pytest.raises(TextError, match="the model's context is 23"):
        attribution(model(QWEN3), "a" * 30)
    with pytest.raises(OptionError, match="look --by gradient needs a model that predicts masked tokens"):
        attribution(model(replace(BERT, prediction=None)), TEXT)


def test_maps_of_a_model_that_does_not_attend_are_refused_with_the_way_out() -> None:
    lm = model(RIVALS["convolution"])
    with pytest.raises(OptionError, match=r"has no attention, so there are no attention maps; .* look --by gradient"):
        ch.observe(lm, TEXT)
    with watch(lm) as record:
        lm.logits(TEXT)
    with pytest.raises(WatchError, match=r"nothing attended, so there are no maps; .* look --by gradient"):
        record[0, 0]
