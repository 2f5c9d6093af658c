"""Every feed-forward by its name, against the formula in float64 numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from clearhead.model import FEED_FORWARDS, FeedForwardConfig
from clearhead.model.parts.feed_forward import FeedForward

Array = np.ndarray
erf = np.vectorize(math.erf)

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,  # Hendrycks and Gimpel 2016
    "gelu-tanh": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
}
# Shazeer (2020), eq. 5 and 6, and the names this project gives to what is left.
GATED = {
    "bilinear": "identity",
    "reglu": "relu",
    "glu": "sigmoid",
    "tanhglu": "tanh",
    "geglu": "gelu",
    "geglu-tanh": "gelu-tanh",
    "swiglu": "silu",
}


def test_none_is_forgotten() -> None:
    assert FEED_FORWARDS.keys() == ACTIVATIONS.keys() | GATED.keys()


@pytest.mark.parametrize("bias", [False, True], ids=["without biases", "with biases"])
@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_by_its_formula(kind: str, bias: bool) -> None:
    width, inner = 5, 7
    torch.manual_seed(0)
    module = FeedForward(width, FeedForwardConfig(kind=kind, width=inner, bias=bias)).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x_BTE = torch.randn(2, 3, width, dtype=torch.float64)
    weights = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    assert weights.keys() == (
        {"up.weight", "up.bias", "down.weight", "down.bias"} if bias else {"up.weight", "down.weight"}
    )
    h = x_BTE.numpy() @ weights["up.weight"].T + weights.get("up.bias", 0)
    if kind in GATED:
        assert h.shape[-1] == 2 * inner
        h = ACTIVATIONS[GATED[kind]](h[..., :inner]) * h[..., inner:]  # the gate's rows come first
    else:
        assert h.shape[-1] == inner
        h = ACTIVATIONS[kind](h)
    expected = h @ weights["down.weight"].T + weights.get("down.bias", 0)
    np.testing.assert_allclose(module(x_BTE).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_gradients(kind: str) -> None:
    torch.manual_seed(1)
    module = FeedForward(3, FeedForwardConfig(kind=kind, width=5, bias=True)).double()
    x_BTE = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(module.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x_BTE, *parameters))


def test_without_an_activation_two_layers_are_one() -> None:
    """The note's claim: stacked linear layers collapse into one."""
    module = FeedForward(5, FeedForwardConfig(kind="identity", width=7)).double()
    one = module.down.weight @ module.up.weight
    x_BTE = torch.randn(2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(module(x_BTE), x_BTE @ one.T)


def test_swiglu_by_hand() -> None:
    """gate ln 3 and up 2: silu(ln 3) = ln 3 * 3/4, so 1.5 ln 3."""
    module = FeedForward(1, FeedForwardConfig(kind="swiglu", width=1))
    with torch.no_grad():
        module.up.weight.copy_(torch.tensor([[math.log(3)], [2.0]]))
        module.down.weight.fill_(1.0)
    assert module(torch.ones(1, 1, 1)).item() == pytest.approx(1.5 * math.log(3))
