"""The feed-forward part of a block: two linear layers with an activation between them, gated or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.model.parts.config import FEED_FORWARDS, ClampConfig, FeedForwardConfig
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.registered import registered
from clearhead.native import token

# The most numbers that C activates in several rows. It is slower than PyTorch (16 rows of 3,072: 350 us to 100), but a
# step is recorded only if all of it is C, and that saves a millisecond.
IN_C = 2**14


def _identity(x: Tensor) -> Tensor:
    return x


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": _identity,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "gelu-tanh": _gelu_tanh,
    "silu": F.silu,
}


def activated(config: FeedForwardConfig) -> Callable[[Tensor], Tensor]:
    """The function between the two layers: h_BTR -> h_BTF."""
    name, gated = FEED_FORWARDS[config.kind]
    if config.clamp is not None:
        return partial(_clamped, config.clamp)
    return partial(_activated, name, gated)


def _activated(name: str, gated: bool, h_BTR: Tensor) -> Tensor:
    if token.takes(h_BTR, most=max(1, IN_C // h_BTR.shape[-1])):
        return token.activate(h_BTR, name, gated=gated)
    if not gated:
        return ACTIVATIONS[name](h_BTR)
    gate_BTF, up_BTF = h_BTR.chunk(2, dim=-1)
    return ACTIVATIONS[name](gate_BTF) * up_BTF


def _clamped(clamp: ClampConfig, h_BTR: Tensor) -> Tensor:
    gate_BTF, up_BTF = h_BTR.chunk(2, dim=-1)
    gate_BTF, up_BTF = gate_BTF.clamp(max=clamp.limit), up_BTF.clamp(-clamp.limit, clamp.limit)
    return (up_BTF + 1) * (gate_BTF * torch.sigmoid(clamp.slope * gate_BTF))


class FeedForward(nn.Module):
    """down(act(up x)), or down(act(gate x) * up x) when gated (Vaswani et al. 2017, eq. 2; Shazeer 2020, eq. 5).

    If gated, ``up`` stacks the gate and up matrices, so that one product computes both.
    """

    up: Linear = registered("up")
    down: Linear = registered("down")

    def __init__(self, width: int, config: FeedForwardConfig) -> None:
        super().__init__()
        self.activated = activated(config)
        self.up = Linear(width, config.rows, bias=config.bias, rows=config.halves)
        self.down = Linear(config.width, width, bias=config.bias)

    def forward(self, x_BTE: Tensor, loads: object = None) -> Tensor:
        """x_BTE -> x_BTE. Ignores ``loads``, which only experts count."""
        return self.down(self.activated(self.up(x_BTE)))
