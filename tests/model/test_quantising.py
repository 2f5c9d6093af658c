"""Networks in 8 and 4 bits: those of the same weights made dense, watched or not, loaded or rounded in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clearhead import hub
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import (
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    Network,
    build,
    quantise,
    rounded_to,
)
from clearhead.products import Quantised
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVALS, TRANSLATOR

CLOSE = 4e-5  # for logits up to 1: each product of few rows rounds its inputs by up to 1.6e-5 (products/few_bits.py)

WIDE = {"width": 32, "feed_forward": FeedForwardConfig(width=64)}
HEADS = AttentionConfig(heads=4, kv_heads=2, head_width=16)
CONFIGS: dict[str, ModelConfig] = {
    "gpt2": replace(
        GPT2,
        width=32,
        attention=replace(GPT2.attention, heads=2, kv_heads=2, head_width=16),
        feed_forward=replace(GPT2.feed_forward, width=64),
    ),
    "qwen3": replace(QWEN3, attention=HEADS, **WIDE),
    "untied": replace(QWEN3, attention=HEADS, tied=False, **WIDE),
    "experts": replace(
        QWEN3,
        attention=HEADS,
        width=32,
        feed_forward=FeedForwardConfig(width=64, experts=ExpertsConfig(count=3, active=2)),
    ),
}
ENCODER = replace(
    BERT,
    width=32,
    attention=replace(BERT.attention, heads=2, kv_heads=2, head_width=16),
    feed_forward=replace(BERT.feed_forward, width=64),
)
EVERY = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
BITS = pytest.mark.parametrize("bits", [8, 4])


def rounded(config: ModelConfig, bits: int) -> tuple[Network, Network]:
    """A network in few bits, and the same with its matrices made dense again."""
    network, dense = (build(config, seed=0).eval() for _ in range(2))
    quantise(network, bits)
    with torch.no_grad():
        ours = dict(dense.named_parameters())
        for path, layer in network.named_modules():
            if isinstance(layer, Quantised):
                ours[path].copy_(layer.dense())
    return network, dense


def ids(places: int = 9) -> Tensor:
    return torch.arange(2 * places).view(2, places) % 31


@EVERY
@BITS
class TestDecoders:
    def test_logits_are_those_of_the_dense_weights(self, config: ModelConfig, bits: int) -> None:
        network, dense = rounded(config, bits)
        with torch.no_grad():
            for places, close in ((2, CLOSE), (9, 1e-5)):  # few rows, and many
                torch.testing.assert_close(network(ids(places)), dense(ids(places)), rtol=0, atol=close)

    def test_watching_changes_no_bit(self, config: ModelConfig, bits: int) -> None:
        network, _ = rounded(config, bits)
        with torch.no_grad():
            alone = network(ids())
            with watch(network) as record:
                watched = network(ids())
        assert torch.equal(alone, watched)
        assert record[0][1, 0].row_sum_error() < 1e-6

    def test_with_a_state_it_reads_on(self, config: ModelConfig, bits: int) -> None:
        network, _ = rounded(config, bits)
        state = network.state(2, 9)
        with torch.no_grad():
            steps = [network(ids()[:, place : place + 1], state=state) for place in range(9)]
            torch.testing.assert_close(torch.cat(steps, dim=1), network(ids()), rtol=0, atol=CLOSE)

    def test_loss_and_its_gradient_for_attribution(self, config: ModelConfig, bits: int) -> None:
        network, dense = rounded(config, bits)
        losses = list[Tensor]()
        for each in (network, dense):
            with torch.no_grad():
                losses.append(each(ids(), targets_BT=ids()))
        torch.testing.assert_close(*losses, rtol=1e-5, atol=0)

    def test_what_is_rounded_and_what_not(self, config: ModelConfig, bits: int) -> None:
        network, _ = rounded(config, bits)
        assert rounded_to(network) == bits
        left = {name.rpartition(".")[0] for name, parameter in network.named_parameters() if parameter.dim() > 1}
        assert all(part.endswith(("positions", "router", "feed_forward.up", "feed_forward.down")) for part in left)
        kept = {
            path.removesuffix(".weight"): each for path, each in network.named_modules() if isinstance(each, Quantised)
        }
        wide = {path for path, each in kept.items() if each.held.bits == 8}
        assert wide == (set(kept) if bits == 8 else {"embedding", *(["head"] if network.head is not None else [])})


@BITS
def test_encoders(bits: int) -> None:
    network, dense = rounded(ENCODER, bits)
    with torch.no_grad():
        torch.testing.assert_close(network(ids()), dense(ids()), rtol=0, atol=1e-5)


@BITS
def test_translators(bits: int) -> None:
    config = replace(
        TRANSLATOR,
        width=32,
        attention=replace(TRANSLATOR.attention, heads=2, kv_heads=2, head_width=16),
        feed_forward=replace(TRANSLATOR.feed_forward, width=64),
    )
    network, dense = rounded(config, bits)
    with torch.no_grad():
        found, expected = (each(ids(), source_BS=ids(7)) for each in (network, dense))
    torch.testing.assert_close(found, expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("kind", RIVALS)
def test_rivals_round_what_is_a_linear_layer(kind: str) -> None:
    network = build(replace(RIVALS[kind], width=32), seed=0).eval()
    before = network(ids())
    quantise(network, 8)
    assert rounded_to(network) == 8
    with torch.no_grad():
        state = network.state(2, 9)
        torch.testing.assert_close(network(ids(), state=state), before, rtol=0, atol=0.02)


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        hub.save(tmp_path / "model", LanguageModel(build(CONFIGS["gpt2"], seed=0), None))
        return tmp_path / "model"

    @BITS
    def test_it_is_rounded_while_it_is_read(self, folder: Path, bits: int) -> None:
        loaded, whole = hub.load(folder, bits=bits), hub.load(folder)
        quantise(whole.network, bits)
        expected = whole.network.state_dict()
        found = loaded.network.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert not any(tensor.is_meta for tensor in found.values())

    def test_a_rounded_model_is_not_saved(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match=r"^a model in 8 bits cannot be saved as a folder; load it without"):
            hub.save(tmp_path / "other", hub.load(folder, bits=8))

    @pytest.mark.parametrize("bits", [3, 16, 0])
    def test_other_numbers_of_bits(self, folder: Path, bits: int) -> None:
        with pytest.raises(OptionError, match=rf"^bits {bits}: weights can be rounded to 8 or 4 bits; without"):
            hub.load(folder, bits=bits)
