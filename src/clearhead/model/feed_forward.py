"""The position-wise part of a block: an activation between two linear layers, gated or not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.model.config import FEED_FORWARDS, FeedForwardConfig


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


class FeedForward(nn.Module):
    """down(act(up x)), or down(act(gate x) * up x) when gated (Vaswani et al. 2017, eq. 2; Shazeer 2020, eq. 5).

    ``up`` holds gate and up below one another when gated, so that one product serves both.
    """

    def __init__(self, width: int, config: FeedForwardConfig) -> None:
        super().__init__()
        name, self.gated = FEED_FORWARDS[config.kind]
        self.activation = ACTIVATIONS[name]
        self.up = nn.Linear(width, config.width * (2 if self.gated else 1), bias=config.bias)
        self.down = nn.Linear(config.width, width, bias=config.bias)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """x_BTE -> x_BTE."""
        h_BTF = self.up(x_BTE)
        if not self.gated:
            return self.down(self.activation(h_BTF))
        gate_BTF, up_BTF = h_BTF.chunk(2, dim=-1)
        return self.down(self.activation(gate_BTF) * up_BTF)
