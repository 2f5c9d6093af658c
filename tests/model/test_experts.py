"""Mixtures of experts against the definition, one token at a time, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clearhead.errors import ConfigError
from clearhead.model import ClampConfig, ExpertsConfig, FeedForwardConfig
from clearhead.model.parts import linear as room
from clearhead.model.parts.experts import Experts, Loads
from clearhead.model.parts.feed_forward import FeedForward

Array = np.ndarray
CHOSEN = ExpertsConfig(count=5, active=2)
ROUTERS = {
    "chosen": CHOSEN,
    "all": ExpertsConfig(count=5, active=3, softmax="all"),
    "bias": ExpertsConfig(count=5, active=2, bias=True),
    "one active": ExpertsConfig(count=5, active=1, softmax="all"),
    "all active": ExpertsConfig(count=3, active=3),
    "one expert": ExpertsConfig(count=1, active=1),
}
INSIDES: dict[str, dict[str, Any]] = {
    "swiglu": {"kind": "swiglu"},
    "swiglu with biases": {"kind": "swiglu", "bias": True},
    "clamped": {"kind": "swiglu", "bias": True, "clamp": ClampConfig(limit=0.9, slope=1.5)},
    "relu": {"kind": "relu"},
}


def made(router: ExpertsConfig, inside: str = "swiglu", width: int = 7, inner: int = 3, seed: int = 0) -> Experts:
    """In float64, every weight and bias drawn."""
    module = Experts(width, FeedForwardConfig(width=inner, experts=router, **INSIDES[inside]), router).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(module: Experts) -> dict[str, Array]:
    return {name: parameter.detach().double().numpy() for name, parameter in module.named_parameters()}


def middle(inside: str, h: Array) -> Array:
    """Between the two layers, after the published code of each."""
    if inside == "relu":
        return np.maximum(h, 0)
    gate, up = np.split(h, 2)
    if inside == "clamped":
        gate, up = np.minimum(gate, 0.9), np.clip(up, -0.9, 0.9)
        return (up + 1) * gate / (1 + np.exp(-1.5 * gate))
    return up * gate / (1 + np.exp(-gate))


def one_token(module: Experts, router: ExpertsConfig, inside: str, x: Array) -> Array:
    """sum of p_e expert_e(x) over the experts of the highest scores."""
    w = weights(module)
    zeros = np.zeros(router.count)
    scores = w["router.weight"] @ x + w.get("router.bias", zeros)
    highest = sorted(range(router.count), key=lambda e: -scores[e])[: router.active]
    among = highest if router.softmax == "chosen" else range(router.count)
    total = sum(math.exp(scores[e]) for e in among)
    y = np.zeros_like(x)
    for e in highest:
        h = w["up.weight"][e] @ x + (w["up.bias"][e] if "up.bias" in w else 0)
        out = w["down.weight"][e] @ middle(inside, h) + (w["down.bias"][e] if "down.bias" in w else 0)
        y += math.exp(scores[e]) / total * out
    return y


def defined(module: Experts, router: ExpertsConfig, inside: str, x_BTE: Tensor) -> Tensor:
    flat = x_BTE.detach().double().flatten(0, 1).numpy()
    return torch.from_numpy(np.stack([one_token(module, router, inside, x) for x in flat])).view_as(x_BTE)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("inside", INSIDES)
def test_by_the_definition(inside: str, router: str) -> None:
    module, x_BTE = made(ROUTERS[router], inside), tokens(2, 11, 7)
    expected = defined(module, ROUTERS[router], inside, x_BTE)
    torch.testing.assert_close(module(x_BTE), expected, rtol=1e-12, atol=1e-12)
    with torch.inference_mode():
        torch.testing.assert_close(module(x_BTE), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(module(x_BTE[:1, 3:4]), expected[:1, 3:4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inside", INSIDES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("grouped", [True, False])
def test_in_other_dtypes_by_either_product(
    grouped: bool, dtype: torch.dtype, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes that PyTorch's grouped product takes; the other is made to run by refusing it."""
    router = ROUTERS["bias"]
    module = made(router, inside, width=16, inner=8).to(dtype)
    x_BTE = tokens(2, 11, 16).to(dtype)
    with torch.no_grad():  # far from a tie, so that rounding does not choose other experts
        module.router.weight.mul_(4)
    assert room._groups(module.up.weight)
    if not grouped:
        monkeypatch.setattr(room, "_groups", lambda _: False)
    out = module(x_BTE)
    assert out.dtype == dtype
    error = (out.double() - defined(module, router, inside, x_BTE)).abs().max() / out.abs().max()
    assert error < 32 * torch.finfo(dtype).eps


@pytest.mark.parametrize("inner", [8, 3], ids=["grouped", "each"])
def test_products_in_bfloat16_while_training(inner: int) -> None:
    """Under autocast, which the grouped product does not ask for its dtype."""
    router = ROUTERS["bias"]
    module, x_BTE = made(router, "swiglu with biases", width=16, inner=inner), tokens(2, 11, 16)
    with torch.no_grad():
        module.router.weight.mul_(4)
    expected = defined(module, router, "swiglu with biases", x_BTE)
    module.float()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x_BTE.float())
        out.sum().backward()
    assert (out.double() - expected).abs().max() / expected.abs().max() < 2**-5
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


def test_odd_sizes_and_float64_are_left_to_one_product_each() -> None:
    assert not room._groups(torch.empty(3, 5, 16))
    assert not room._groups(torch.empty(3, 16, 5))
    assert not room._groups(torch.empty(3, 16, 16, dtype=torch.float64))


@pytest.mark.parametrize("inside", INSIDES)
@pytest.mark.parametrize("router", ["chosen", "all", "bias"])
def test_gradients(router: str, inside: str) -> None:
    module = made(ROUTERS[router], inside, width=3, inner=2).eval()
    x_BTE = tokens(1, 3, 3).requires_grad_()
    parameters = tuple(module.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x_BTE, *parameters), atol=1e-6)


@pytest.mark.parametrize("inside", ["swiglu with biases", "clamped"])
def test_gradients_of_the_grouped_product(inside: str) -> None:
    """Against float64, which it does not take."""
    exact = made(ROUTERS["bias"], inside, width=16, inner=8).eval()
    module = made(ROUTERS["bias"], inside, width=16, inner=8).eval().float()
    for one in (exact, module):
        x_BTE = tokens(2, 11, 16).to(one.up.weight.dtype)
        one(x_BTE).square().sum().backward()
    assert room._groups(module.up.weight)
    for ours, expected in zip(module.parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert expected.grad is not None
        scale = expected.grad.abs().max()
        torch.testing.assert_close(ours.grad.double() / scale, expected.grad / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("width", "inner"), [(7, 3), (16, 8)])
def test_an_unused_expert_has_a_gradient_of_zero(width: int, inner: int) -> None:
    """Zero, not None: an optimizer that stacks all weights of one shape needs every gradient."""
    module = made(ExpertsConfig(count=3, active=1, bias=True), width=width, inner=inner).float()
    with torch.no_grad():
        module.router.bias.copy_(torch.tensor([0.0, 1e6, 0.0]))
    module(tokens(1, 5, width).float()).sum().backward()
    for weight in (module.up.weight, module.down.weight):
        assert weight.grad is not None
        assert not weight.grad[0].any()
        assert weight.grad[1].any()
        assert not weight.grad[2].any()


def test_by_hand() -> None:
    """Scores 0, ln 3 and ln 9: of the two chosen 1/4 and 3/4, of all three 3/13 and 9/13. They give 10 and 100."""
    for softmax, expected in (("chosen", 10 / 4 + 100 * 3 / 4), ("all", 10 * 3 / 13 + 100 * 9 / 13)):
        router = ExpertsConfig(count=3, active=2, softmax=softmax)
        module = Experts(1, FeedForwardConfig(kind="identity", width=1, experts=router), router)
        with torch.no_grad():
            module.router.weight.copy_(torch.tensor([[0.0], [math.log(3)], [math.log(9)]]))
            module.up.weight.fill_(1.0)
            module.down.weight.copy_(torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1))
        assert module(torch.ones(1, 1, 1)).item() == pytest.approx(expected)


def test_the_clamped_swiglu_by_hand() -> None:
    """Gate 100 and up -100 under a limit of 7: 7 sigmoid(1.702 x 7) (1 - 7), which is -42 within 0.001 %."""
    module = FeedForward(1, FeedForwardConfig(kind="swiglu", width=1, clamp=ClampConfig()))
    with torch.no_grad():
        module.up.weight.copy_(torch.tensor([[100.0], [-100.0]]))
        module.down.weight.fill_(1.0)
        assert module(torch.ones(1, 1, 1)).item() == pytest.approx(-42, rel=1e-5)
        # A gate far below zero is not clamped: it is silent. Up at zero still lets the gate through.
        module.up.weight.copy_(torch.tensor([[-100.0], [3.0]]))
        assert module(torch.ones(1, 1, 1)).item() == pytest.approx(0, abs=1e-30)
        module.up.weight.copy_(torch.tensor([[100.0], [0.0]]))
        assert module(torch.ones(1, 1, 1)).item() == pytest.approx(7, rel=1e-5)


class TestProperties:
    @given(seed=st.integers(0, 9999), active=st.integers(1, 4), places=st.integers(1, 9))
    def test_alike_experts_are_one_feed_forward(self, seed: int, active: int, places: int) -> None:
        module = made(ExpertsConfig(count=4, active=active), seed=seed)
        dense = FeedForward(7, FeedForwardConfig(width=3)).double()
        with torch.no_grad():
            for stack, layer in ((module.up, dense.up), (module.down, dense.down)):
                stack.weight.copy_(layer.weight.expand_as(stack.weight))
        x_BTE = tokens(2, places, 7, seed=seed)
        torch.testing.assert_close(module(x_BTE), dense(x_BTE))

    @given(seed=st.integers(0, 9999), router=st.sampled_from(sorted(ROUTERS)), places=st.integers(2, 20))
    def test_a_token_does_not_see_its_neighbours(self, seed: int, router: str, places: int) -> None:
        module, x_BTE = made(ROUTERS[router], seed=seed), tokens(1, places, 7, seed=seed)
        order = torch.randperm(places, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(module(x_BTE[:, order]), module(x_BTE)[:, order])
        torch.testing.assert_close(module(x_BTE[:, :1]), module(x_BTE)[:, :1])

    @given(seed=st.integers(0, 9999), active=st.integers(1, 5), shift=st.floats(-50, 50))
    def test_weights_are_shares(self, seed: int, active: int, shift: float) -> None:
        """Highest first, summing to 1 over the chosen; a number added to all scores changes nothing."""
        module = made(ExpertsConfig(count=5, active=active, bias=True), seed=seed)
        x_NE = tokens(11, 7, seed=seed)
        weights_NA, experts_NA = module.router(x_NE)
        torch.testing.assert_close(weights_NA.sum(-1), torch.ones(11, dtype=torch.float64))
        assert (weights_NA.diff(dim=-1) <= 0).all()
        assert all(len(set(chosen)) == active for chosen in experts_NA.tolist())
        with torch.no_grad():
            module.router.bias.add_(shift)
        torch.testing.assert_close(module.router(x_NE)[0], weights_NA)


def imbalance(*layers: tuple[Tensor, Tensor], text_N: Tensor | None = None) -> Tensor:
    """Of the scores and the chosen experts of each layer."""
    loads = Loads(text_N)
    for s_NX, experts_NA in layers:
        loads.add(s_NX, experts_NA)
    return loads.imbalance()


class TestBalance:
    def test_even_use_is_the_least(self) -> None:
        """Two tokens, two experts: one each gives 1, both to one 2 x 1 x mean."""
        even = torch.tensor([[9.0, -9.0], [-9.0, 9.0]])
        assert imbalance((even, torch.tensor([[0], [1]]))).item() == pytest.approx(1)
        one_sided = torch.tensor([[9.0, -9.0], [9.0, -9.0]])
        both = torch.tensor([[0], [0]])
        assert imbalance((one_sided, both)).item() == pytest.approx(2, rel=1e-6)

    def test_layers_that_make_up_for_one_another_are_balanced(self) -> None:
        """Each sends all its tokens to one expert, the other layer to the other: pooled, both are used alike."""
        first = torch.tensor([[9.0, -9.0], [9.0, -9.0]]), torch.tensor([[0], [0]])
        other = torch.tensor([[-9.0, 9.0], [-9.0, 9.0]]), torch.tensor([[1], [1]])
        assert imbalance(first, other).item() == pytest.approx(1)

    def test_the_module_counts_what_its_router_chose(self) -> None:
        module, x_BTE, loads = made(CHOSEN), tokens(2, 11, 7), Loads()
        x_NE = x_BTE.flatten(0, 1)
        assert torch.equal(module(x_BTE, loads), module(x_BTE))
        expected = imbalance((x_NE @ module.router.weight.T, module.router(x_NE)[1]))
        torch.testing.assert_close(loads.imbalance(), expected)

    @pytest.mark.parametrize("padded", [False, True])
    def test_as_transformers_counts_it(self, padded: bool) -> None:
        from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

        layers = [tokens(2 * 13, 5, seed=seed) for seed in (1, 2, 3)]
        text_BT = torch.ones(2, 13, dtype=torch.bool)
        text_BT[1, :4] = not padded
        for active in (1, 2, 5):
            given = text_BT.long() if padded else None
            expected = load_balancing_loss_func(tuple(layers), num_experts=5, top_k=active, attention_mask=given)
            found = imbalance(*((s, s.topk(active).indices) for s in layers), text_N=text_BT.flatten())
            torch.testing.assert_close(found.float(), expected.float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is 0; it must be at least 1"),
        ({"active": 0}, "active is 0; it must be at least 1"),
        ({"active": 6}, "6 active of 5; no more can be active than there are"),
        ({"softmax": "chosn"}, "there is no softmax 'chosn'; did you mean 'chosen'"),
        ({"balance": -1.0}, "balance is -1.0; it must be at least 0 and finite"),
        ({"dense": (2, 1)}, "the layers must be in order, each once"),
        ({"dense_width": 0}, "dense_width is 0; it must be at least 1"),
    ],
)
def test_config(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="experts: ") as caught:
        ExpertsConfig(**{"count": 5, "active": 2, **options})
    assert message in str(caught.value)


def test_clamps_are_checked() -> None:
    with pytest.raises(ConfigError, match="both must be above 0 and finite"):
        ClampConfig(limit=0.0)
    with pytest.raises(ConfigError, match="clamp beside kind 'relu'; it belongs to 'swiglu'"):
        FeedForwardConfig(kind="relu", width=3, clamp=ClampConfig())
