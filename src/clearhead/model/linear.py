"""The product of numbers and a weight matrix, the one that every trained matrix goes through."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def linear(x_E: Tensor, weight_FE: Tensor, bias_F: Tensor | None = None) -> Tensor:
    """x W^T + b over the last axis of x; any axes may stand before it, and stay."""
    return F.linear(x_E, weight_FE, bias_F)


class Linear(nn.Linear):
    """``linear`` with a trained weight and, where wanted, a trained bias."""

    def forward(self, input: Tensor) -> Tensor:
        """x_E -> y_F."""
        return linear(input, self.weight, self.bias)
