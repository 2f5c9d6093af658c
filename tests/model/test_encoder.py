"""Encoders: every token sees the whole text, or a band of it; embedding, heads and pooler."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clearhead.attend import left_padding, padding
from clearhead.errors import ConfigError, OptionError, RequestError
from clearhead.model import (
    AttentionConfig,
    FeedForwardConfig,
    LayerConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
)
from clearhead.tap import Site
from clearhead.watching import watch
from little_configs import BERT
from shapes import assert_same, lively, text

MODERNBERT = replace(
    BERT,
    attention=AttentionConfig(heads=2, kv_heads=2, head_width=8, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="geglu", width=17),
    norm=NormConfig(kind="layer", eps=1e-5, bias=False),
    positions=PositionConfig(theta=160_000.0),
    arrangement="pre",
    pattern=(LayerConfig(), LayerConfig(window=3, positions=PositionConfig())),
    token_types=0,
    prediction=PredictionConfig(bias=False),
    pooler=False,
)
MODELS = {"BERT": BERT, "ModernBERT": MODERNBERT}


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
class TestBothWays:
    def test_every_token_reaches_every_logit(self, config: ModelConfig) -> None:
        model = lively(config)
        x_BTE = model.embedding(text(config, 1, 13)).detach().requires_grad_()
        model.embedding.forward = lambda ids: x_BTE  # type: ignore[method-assign]
        logits_BTV = model(text(config, 1, 13))
        for place in (0, 6, 12):
            (gradient_BTE,) = torch.autograd.grad(logits_BTV[0, place].sum(), x_BTE, retain_graph=True)
            assert (gradient_BTE != 0).all()

    @torch.no_grad()
    def test_padding_on_either_side_changes_nothing(self, config: ModelConfig) -> None:
        model, ids_BT = lively(config), text(config, 2, 9)
        alone = model(ids_BT[:1, :5]), model(ids_BT[1:])
        right = model(ids_BT, mask=padding(torch.tensor([5, 9])))
        torch.testing.assert_close(right[:1, :5], alone[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(right[1:], alone[1], rtol=1e-5, atol=1e-5)
        moved_BT = torch.stack((ids_BT[0].roll(4), ids_BT[1]))
        places_BT = torch.stack(((torch.arange(9) - 4).clamp(min=0), torch.arange(9)))
        left = model(moved_BT, mask=left_padding(torch.tensor([4, 0])), places_BT=places_BT)
        torch.testing.assert_close(left[:1, 4:], alone[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(left[1:], alone[1], rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_maps_are_told_apart_by_their_site(self, config: ModelConfig) -> None:
        model = lively(config)
        with watch(model) as record:
            model(text(config, 1, 13))
        assert [site for site, heads in model.sites().items() if heads] == [Site(n, stack="encoder") for n in range(3)]
        assert str(record[1, 0].site) == "encoder.1.self"
        assert record[0, 1][0, 12] > 0

    def test_there_is_no_state_to_write_from(self, config: ModelConfig) -> None:
        with pytest.raises(
            OptionError, match=r"^a state to write from needs a model that predicts the next token or translates"
        ):
            lively(config).state(batch=1, capacity=3)


@torch.no_grad()
def test_a_band_of_tokens_in_some_layers() -> None:
    model = lively(MODERNBERT)
    with watch(model) as record:
        model(text(MODERNBERT, 1, 13))
    assert (record[0, 0][:, :] > 0).all()
    assert (record[2, 1][:, :] > 0).all()
    q, k = torch.arange(13)[:, None], torch.arange(13)
    assert torch.equal(record[1, 0][:, :] > 0, (q - k).abs() < 3)


def test_the_norm_of_the_embedding_is_that_of_the_first_part() -> None:
    names = [name for name, _ in lively(MODERNBERT).named_parameters() if "attention_norm" in name]
    assert names == ["blocks.1.attention_norm.weight", "blocks.2.attention_norm.weight"]
    assert "blocks.0.attention_norm.weight" in dict(lively(BERT).named_parameters())


class TestTokenTypes:
    @torch.no_grad()
    def test_are_those_of_the_first_text_unless_given(self) -> None:
        model, ids_BT = lively(BERT), text(BERT, 2, 7)
        none_BT = torch.zeros(2, 7, dtype=torch.long)
        assert torch.equal(model(ids_BT), model(ids_BT, types_BT=none_BT))
        second_BT = none_BT.clone()
        second_BT[1, 4:] = 1
        found, first = model(ids_BT, types_BT=second_BT), model(ids_BT)
        assert_same(found[0], first[0], BERT)
        assert ((found - first)[1].abs().amax(dim=-1) > 0.01).all()

    @torch.no_grad()
    def test_their_vectors_are_added_to_the_embedding(self) -> None:
        model, ids_BT = lively(BERT), text(BERT, 1, 5)
        types_BT = torch.tensor([[0, 1, 1, 0, 1]])
        expected = model.hidden(ids_BT, types_BT=types_BT)
        model.token_types.weight[0] = 0.0
        model.positions.weight[:5] += types_BT[0, :, None] * model.token_types.weight[1]
        other = lively(BERT).token_types.weight[0]
        model.positions.weight[:5] += (1 - types_BT[0, :, None]) * other
        torch.testing.assert_close(model.hidden(ids_BT), expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("types", "said"),
        [
            ([[0, 1, 2]], r"token types from 0 to 2; the model has 2, counted from 0"),
            ([[0, -1, 1]], r"token types from -1 to 1"),
            ([[0, 1]], r"token types of shape \(1, 2\) for ids of shape \(1, 3\)"),
        ],
    )
    def test_what_are_none(self, types: list[list[int]], said: str) -> None:
        with pytest.raises(RequestError, match=said):
            lively(BERT).hidden(text(BERT, 1, 3), types_BT=torch.tensor(types))

    def test_a_model_without_them_takes_none(self) -> None:
        with pytest.raises(RequestError, match="token types were given, but this model has none"):
            lively(MODERNBERT).hidden(text(BERT, 1, 3), types_BT=torch.zeros(1, 3, dtype=torch.long))


class TestHeads:
    @torch.no_grad()
    def test_the_pooler_reads_the_first_token(self) -> None:
        """With W = 0 and b = artanh(1/2) the vector is 1/2; with W = 1 and b = 0 it is tanh of the first token."""
        model = lively(BERT)
        x_BTE = torch.randn(2, 3, 14, generator=torch.Generator().manual_seed(0))
        pooler = model.pooler
        pooler.weight.zero_()
        pooler.bias.fill_(0.5493061)
        torch.testing.assert_close(model.pool(x_BTE), torch.full((2, 14), 0.5))
        pooler.weight.copy_(torch.eye(14))
        pooler.bias.zero_()
        torch.testing.assert_close(model.pool(x_BTE), x_BTE[:, 0].tanh())

    @torch.no_grad()
    def test_the_bias_of_the_output_is_added_to_each_logit(self) -> None:
        model, ids_BT = lively(BERT), text(BERT, 1, 4)
        before = model(ids_BT)
        model.prediction.bias += torch.arange(31)
        torch.testing.assert_close(model(ids_BT) - before, torch.arange(31.0).expand(1, 4, 31), rtol=0, atol=1e-4)

    def test_the_loss_is_that_of_the_masked_places(self) -> None:
        model, ids_BT = lively(BERT, dtype=torch.float64), text(BERT, 2, 9)
        targets_BT = torch.full_like(ids_BT, -100)
        targets_BT[0, 2], targets_BT[1, 5], targets_BT[1, 8] = 7, 0, 30
        logprobs_BTV = model(ids_BT).log_softmax(dim=-1)
        expected = -(logprobs_BTV[0, 2, 7] + logprobs_BTV[1, 5, 0] + logprobs_BTV[1, 8, 30])
        torch.testing.assert_close(model(ids_BT, targets_BT=targets_BT), expected)

    def test_weights_without_heads_say_so(self) -> None:
        model = lively(replace(BERT, prediction=None, pooler=False))
        with pytest.raises(RequestError, match="no head that predicts masked tokens"):
            model(text(BERT, 1, 3))
        with pytest.raises(RequestError, match="no pooler"):
            model.pool(torch.zeros(1, 3, 14))


def ids_of(*ids: int) -> Tensor:
    return torch.tensor([ids])


@torch.no_grad()
def test_places_are_counted_behind_those_of_padding() -> None:
    first = replace(BERT, positions=PositionConfig(kind="learned", first=2))
    model, plain = lively(first), lively(BERT)
    weights = model.state_dict()
    weights["positions.weight"] = weights["positions.weight"][2:]
    plain.load_state_dict(weights)
    assert torch.equal(model(ids_of(4, 5, 6)), plain(ids_of(4, 5, 6)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(BERT, token_types=-1), "model: token_types is -1; it must be at least 0"),
        (lambda: PredictionConfig(activation="swiglu"), "prediction: there is no activation 'swiglu'; did you mean"),
        (lambda: PositionConfig(first=2), "positions: first is 2; it must be at least 0, and 0 unless learned"),
    ],
)
def test_what_is_no_encoder(make: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()  # type: ignore[operator]
    assert said in str(caught.value)
