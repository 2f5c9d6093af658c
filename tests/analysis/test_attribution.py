"""The gradient of a prediction: against finite differences in float64, for every kind of model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clearhead as ch
from clearhead.analysis import attribution, integrated_gradient
from clearhead.errors import ClearheadError, OptionError, TextError, WatchError
from clearhead.language_model import LanguageModel
from clearhead.model import ExpertsConfig, FeedForwardConfig, ModelConfig, build
from clearhead.text import Tokenizer
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVALS

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
    assert found.token_id == ord("b")
    assert found.given
    assert found.logprob == pytest.approx(logprob(lm, place, found.token_id, {}), abs=1e-12)
    x_TE = lm.network.embedding(lm.ids(TEXT))[0].detach()
    for t in range(len(x_TE)):
        slopes = [
            (logprob(lm, place, found.token_id, {(t, e): step}) - logprob(lm, place, found.token_id, {(t, e): -step}))
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
    assert len(found.tokenized.tokens) == len(TEXT) + 1


def test_a_convolution_reaches_no_further_than_it_says() -> None:
    config: Any = replace(KINDS["convolution"], layers=1)
    found = attribution(model(config), TEXT)
    assert [norm > 0 for norm in found.norms] == [place > len(TEXT) - config.reach for place in range(len(TEXT) + 1)]


def test_the_likeliest_token_is_predicted_after_the_end_or_the_one_asked_for() -> None:
    lm = model(QWEN3)
    likeliest = int(lm.logits(TEXT)[-1].argmax())
    assert (attribution(lm, TEXT).token_id, attribution(lm, TEXT).given) == (likeliest, False)
    assert attribution(lm, TEXT, token="z").token_id == attribution(lm, TEXT, query=-1, token=122).token_id == ord("z")


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
    assert attribution(lm, TEXT).token_id < 257


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("baseline", ["mean", "zero", "z"])
def test_an_integrated_gradient_adds_up_to_what_the_text_changes(kind: str, baseline: str) -> None:
    lm = model(KINDS[kind])
    found = attribution(lm, TEXT, query=4, by="integrated-gradient", baseline=baseline)
    assert found.baseline is not None
    x_TE = lm.network.embedding(lm.ids(TEXT))[0].detach()
    weight_VE = lm.network.embedding.weight.detach()
    base_E = {"mean": weight_VE.mean(0), "zero": torch.zeros_like(x_TE[0]), "z": weight_VE[ord("z")]}[baseline]
    moved = {(t, e): float(base_E[e] - x_TE[t, e]) for t in range(1, len(x_TE)) for e in range(x_TE.shape[1])}
    before, after = (logprob(lm, 4, ord("b"), each) for each in (moved, {}))
    assert (found.baseline.name, found.baseline.logprob) == (baseline, pytest.approx(before, abs=1e-9))
    assert found.logprob == pytest.approx(after, abs=1e-9)
    assert abs(sum(found.products) - (after - before)) <= 1e-3
    assert found.baseline.error == pytest.approx(sum(found.products) - (after - before), abs=1e-9)
    assert found.products[0] == 0  # the token in front of every text keeps its embedding
    assert found.products[5:] == (0.0, 0.0)  # later tokens cannot matter
    assert sum(found.shares) == pytest.approx(1)


def test_an_integrated_gradient_is_the_mean_gradient_along_the_path() -> None:
    """Against the definition: 4,000 evenly spaced gradients, each by itself, in a model with learned places."""
    lm, place = model(GPT2), 4
    found = attribution(lm, TEXT, query=place, by="integrated-gradient", baseline="z", tolerance=1e-6)
    ids_1T, x_TE = lm.ids(TEXT), lm.network.embedding(lm.ids(TEXT))[0].detach()
    base_TE = x_TE.clone()
    base_TE[1:] = lm.network.embedding.weight[ord("z")].detach()
    shares_N = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    leaf_NTE = (base_TE + shares_N[:, None, None] * (x_TE - base_TE)).requires_grad_()
    hook = lm.network.embedding.register_forward_hook(lambda module, given, made: leaf_NTE)
    logits_NV = lm.network(ids_1T.expand(4000, -1))[:, place]
    hook.remove()
    (g_NTE,) = torch.autograd.grad(logits_NV.log_softmax(-1)[:, ord("b")].sum(), leaf_NTE)
    expected = ((x_TE - base_TE) * g_NTE.mean(0)).sum(-1)
    assert list(found.products) == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_jump_on_the_path_is_refused_and_so_is_a_tolerance_beyond_the_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a token changes its experts, the function jumps: no gradient explains it."""
    experts = FeedForwardConfig(width=7, experts=ExpertsConfig(count=5, active=2))
    with pytest.raises(ClearheadError, match=r"the log-probability jumps by \S+ nats at 0\.\d+ of the path"):
        attribution(model(replace(QWEN3, feed_forward=experts)), TEXT, by="integrated-gradient")
    monkeypatch.setattr(integrated_gradient, "PASSES", 256)
    lm = model(QWEN3)
    rounded = LanguageModel(lm.network.to(torch.bfloat16), BYTES)
    with pytest.raises(ClearheadError, match="integrated gradient: "):
        attribution(rounded, TEXT, by="integrated-gradient", tolerance=1e-9)


@pytest.mark.parametrize("by", ["gradient", "integrated-gradient"])
def test_numbers_that_are_not_finite_are_refused(by: str) -> None:
    lm = model(QWEN3)
    with torch.no_grad():
        lm.network.get_parameter("norm.weight")[0] = torch.nan
    with pytest.raises(ClearheadError, match="a logit after 7 tokens is not finite"):
        attribution(lm, TEXT, token="z", by=by)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "gradients"}, r"^attribution: there is no method 'gradients'; did you mean 'gradient'"),
        ({"by": "integrated-gradient", "baseline": "zz"}, r"^baseline 'zz': it has 2 tokens in this model"),
        ({"query": 7}, r"^query 7: the text has places 0 to 6$"),
        ({"query": -8}, r"^query -8: "),
        ({"token": "ab"}, r"^token 'ab': it has 2 tokens in this model; give a text of one token, or an id$"),
        ({"token": 257}, r"^token 257: the model has ids 0 to 256$"),
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
