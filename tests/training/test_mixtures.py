"""A mixture of experts with attention sinks trains like other models: it learns, and resumes with the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import Watcher, halves, run, shape, whole_state

from clearhead.model import ExpertsConfig, FeedForwardConfig, Network, build
from clearhead.model.parts.experts import Experts
from clearhead.training import OptimizerConfig, TrainConfig

FAST = OptimizerConfig(lr=0.03, adamw_lr=0.03, weight_decay=0.0)
TEXTS = halves("abcdefghijklm" * 60)


def mixture(inner: int, balance: float = 0.001, seed: int = 0) -> Network:
    """inner 8: the sizes that PyTorch's grouped product takes; 5: one product per expert."""
    experts = ExpertsConfig(count=4, active=2, bias=True, balance=balance)
    plain = shape(layers=2)
    config = replace(
        plain,
        width=16,
        attention=replace(plain.attention, sinks=True),
        feed_forward=FeedForwardConfig(width=inner, bias=True, experts=experts),
    )
    return build(config, seed=seed)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("inner", [8, 5])
def test_it_learns(inner: int, precision: str, tmp_path: Path) -> None:
    watcher, model = Watcher(), mixture(inner)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    whole = TrainConfig(steps=60, batch=8, evaluations=1, optimizer=FAST, precision=precision)
    run(tmp_path, whole, TEXTS, watcher, model=model)
    assert watcher.evaluations[-1].valid_loss < 0.6
    unmoved = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    assert unmoved == []


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    config = TrainConfig(steps=9, batch=3, evaluations=1, optimizer=FAST)
    run(tmp_path / "one", config, TEXTS, model=mixture(8))
    run(tmp_path / "two", config, TEXTS, Watcher(stop_after=4), model=mixture(8))
    run(tmp_path / "two", config, TEXTS, model=mixture(8, seed=1), state=whole_state(tmp_path / "two"))
    ends = [whole_state(tmp_path / name) for name in ("one", "two")]
    for part in ("weights", "optimizer"):
        first, second = (getattr(end, part) for end in ends)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


def largest_share(model: Network, layers: list[Experts]) -> float:
    """Of all choices, those of the expert that is chosen most."""
    chosen: list[torch.Tensor] = []
    for layer in layers:
        layer.router.register_forward_hook(lambda _, inputs, outputs: chosen.append(outputs[1].flatten()))
    model.eval()(torch.tensor([list(b"abcdefghijk"), list(b"defghijklma")]))
    experts = torch.cat(chosen)
    return torch.bincount(experts).max().item() / len(experts)


def test_balance_spreads_the_tokens(tmp_path: Path) -> None:
    """From routers that send all tokens to the same two experts."""
    shares: list[float] = []
    for balance in (0.0, 1.0):
        model = mixture(8, balance=balance)
        layers = [module for module in model.modules() if isinstance(module, Experts)]
        with torch.no_grad():
            for layer in layers:
                assert layer.router.bias is not None
                layer.router.bias.copy_(torch.tensor([3.0, 3.0, 0.0, 0.0]))
        config = TrainConfig(steps=60, batch=8, evaluations=1, optimizer=FAST)
        run(tmp_path / str(balance), config, TEXTS, model=model)
        shares.append(largest_share(model, layers))
    assert shares[1] < shares[0]
    assert shares[1] < 0.4
