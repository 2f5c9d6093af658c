"""Calibration of a whole network: what is rounded, by which inputs, and what it gains."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clearhead.errors import ClearheadError, OptionError
from clearhead.model import build, calibrate, matrices, packs, quantise, rounded_to
from clearhead.products import Quantised, compensated
from little_configs import BERT, QWEN3, TRANSLATOR

WIDE = replace(
    QWEN3,
    vocabulary=257,
    context=24,
    width=64,
    layers=2,
    attention=replace(QWEN3.attention, heads=4, kv_heads=2, head_width=16),
    feed_forward=replace(QWEN3.feed_forward, width=96),
)


def rows() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(257, (1, 24), generator=generator) for _ in range(6)]


def test_embeddings_and_the_output_layer_stay() -> None:
    network = build(replace(WIDE, tied=False), seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    calibrate(network, rows(), 4)
    names = {name for name, each in network.named_modules() if isinstance(each, Quantised)}
    assert names == set(matrices(build(replace(WIDE, tied=False), seed=0), 4, edges=False))
    assert (rounded_to(network), packs(network, 4), packs(network, 8)) == (4, True, False)
    for name, tensor in network.state_dict().items():
        assert name.endswith((".codes", ".scales")) or torch.equal(tensor, before[name])
    other = build(WIDE, seed=0)
    quantise(other, 4)  # the embedding, too
    assert not packs(other, 4)


def test_each_layer_is_rounded_for_the_inputs_that_rounded_layers_give_it() -> None:
    network, again = build(WIDE, seed=0), build(WIDE, seed=0)
    calibrate(network, rows(), 4)
    wanted = {name: each.dense() for name, each in network.named_modules() if isinstance(each, Quantised)}
    for layer in range(2):  # by hand: the inputs of one layer, then its matrices
        chosen = {n: m for n, m in matrices(again, 4, edges=False).items() if n.startswith(f"blocks.{layer}.")}
        seen: dict[str, list[torch.Tensor]] = {name: [] for name in chosen}
        handles = [
            each.layer.register_forward_hook(lambda _, given, __, kept=seen[name]: kept.append(given[0][0].float()))
            for name, each in chosen.items()
        ]
        with torch.no_grad():
            for ids_BT in rows():
                again(ids_BT)
        for handle in handles:
            handle.remove()
        for name, each in chosen.items():
            x_XK = torch.cat(seen[name])
            found = compensated(each.layer.matrix, x_XK.T @ x_XK, 4)
            # the moments are summed in another order
            assert (found.dense() - wanted[name]).abs().gt(1e-6).double().mean() < 0.02
            each.hold(next(m for n, m in network.named_modules() if n == name))  # pyright: ignore[reportArgumentType]


def test_an_encoders_prediction_head_is_rounded_for_its_inputs_too() -> None:
    network, again = (build(replace(BERT, width=64, vocabulary=257), seed=0) for _ in range(2))
    calibrate(network, [torch.randint(257, (1, 8), generator=torch.Generator().manual_seed(1))], 4)
    quantise(again, 4)
    one, other = (dict(each.named_modules()) for each in (network, again))
    for name, same in (("prediction.dense.weight", False), ("pooler.weight", True)):  # no token reaches the pooler
        pair = [each[name] for each in (one, other)]
        assert torch.equal(*(each.dense() for each in pair if isinstance(each, Quantised))) == same


def test_inputs_that_overflow_are_an_error() -> None:
    network = build(WIDE, seed=0)
    with torch.no_grad():
        network.embedding.weight.fill_(torch.inf)
    with pytest.raises(ClearheadError, match=r"calibrate: the inputs of blocks.0.\S+ are not finite: the computation"):
        calibrate(network, rows(), 4)


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(OptionError, match="calibrate: this model translates, and pairs cannot be given"):
        calibrate(build(TRANSLATOR, seed=0), rows(), 4)
    network = build(WIDE, seed=0)
    quantise(network, 8)
    with pytest.raises(OptionError, match="calibrate: the model is in 8 bits already; load it without bits"):
        calibrate(network, rows(), 4)
    with pytest.raises(OptionError, match="bits 3: weights can be rounded to 8 or 4 bits"):
        calibrate(build(WIDE, seed=0), rows(), 3)
