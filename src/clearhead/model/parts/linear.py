"""Products of a few rows with a weight matrix, by the routine of the processor's libraries that is fastest for them.

Two cores with AVX-512 and bfloat16 units, the weights of GPT-2's 124M shape, torch 2.13, times of x W^T set to 1:

    rows                  1      4      8      12     16     32
    W x^T in bfloat16     0.67   0.66   0.65   0.65   0.65   0.65   (one row: torch.mv)
    W x^T in float32      1.0    1.2    0.83   0.64   0.81   0.90
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW = 32  # rows; a prompt has more
HALF = (torch.bfloat16, torch.float16)
FEW_IN_FLOAT32 = 8  # the fewest for which W x^T is faster there


def linear(x_E: Tensor, weight_FE: Tensor, bias_F: Tensor | None = None) -> Tensor:
    """x W^T + b over the last axis of x; any axes may stand before it, and stay."""
    rows = x_E.numel() // x_E.shape[-1]
    fewest = 1 if x_E.dtype in HALF else FEW_IN_FLOAT32
    fast = x_E.device.type == "cpu" and not torch.is_grad_enabled() and x_E.dtype in (*HALF, torch.float32)
    if not fast or not fewest <= rows <= FEW:
        return F.linear(x_E, weight_FE, bias_F)
    x_NE = x_E.reshape(rows, -1)
    y_NF = torch.mv(weight_FE, x_NE[0]) if rows == 1 else (weight_FE @ x_NE.T.contiguous()).T.contiguous()
    y_F = y_NF.view(*x_E.shape[:-1], -1)
    return y_F if bias_F is None else y_F + bias_F


class Linear(nn.Linear):
    """``linear`` with a trained weight and, where wanted, a trained bias."""

    def forward(self, input: Tensor) -> Tensor:
        """x_E -> y_F."""
        return linear(input, self.weight, self.bias)
