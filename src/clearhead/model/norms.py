"""Normalisation of the residual stream and of single heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.model.config import AttentionConfig, NormConfig
from clearhead.model.fused import RMSNormalise


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in x's dtype; weight has the shape of x's last axes.

    Zhang and Sennrich 2019, eq. 4. Sums are float32 or wider.
    """
    if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        return RMSNormalise.apply(wide, weight, eps).to(x.dtype)
    # Under autocast CUDA gives float32 here, and attention wants one dtype for q, k and v.
    return (F.rms_norm(x, x.shape[-1:], None, eps) * weight.to(x.dtype)).to(x.dtype)


class RMSNorm(nn.Module):
    """``rms_norm`` with a trained weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        return rms_norm(x, self.weight, self.eps)


class HeadNorm(nn.Module):
    """RMSNorm over the width of each head, one weight for queries and one for keys, both in one pass (Qwen 3)."""

    def __init__(self, config: AttentionConfig, eps: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.eps = config.heads, config.kv_heads, eps
        self.query = nn.Parameter(torch.ones(config.head_width))
        self.key = nn.Parameter(torch.ones(config.head_width))

    def forward(self, qk_BTXD: Tensor) -> Tensor:
        """The query heads, then the key heads, along axis X."""
        weight_XD = torch.cat((self.query.expand(self.heads, -1), self.key.expand(self.kv_heads, -1)))
        return rms_norm(qk_BTXD, weight_XD, self.eps)


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis (Ba et al. 2016)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


def norm(config: NormConfig, width: int) -> nn.Module:
    """The norm the config names."""
    return RMSNorm(width, config.eps) if config.kind == "rms" else LayerNorm(width, config.eps)
