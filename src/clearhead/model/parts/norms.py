"""Normalisation of the residual stream, and of queries and keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import wide
from clearhead.model.parts.config import AttentionConfig, NormConfig
from clearhead.model.parts.fused import RMSNormalise
from clearhead.model.parts.registered import registered
from clearhead.native import token


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in x's dtype (Zhang and Sennrich 2019, eq. 4).

    ``weight`` has the shape of x's last axes. Sums are in float32 or wider.
    """
    if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return RMSNormalise.apply(x.to(wide(x.dtype)), weight, eps).to(x.dtype)
    # Under autocast, CUDA returns float32 here; attention needs one dtype for q, k and v.
    return (F.rms_norm(x, x.shape[-1:], None, eps) * weight.to(x.dtype)).to(x.dtype)


def rms_norm_offset(x: Tensor, weight: Tensor, config: NormConfig) -> Tensor:
    """``rms_norm`` with weight + offset, computed in float32 or wider and rounded once (Gemma, 2024)."""
    dtype = wide(x.dtype)
    return rms_norm(x.to(dtype), config.offset + weight.to(dtype), config.eps).to(x.dtype)


class Norm(nn.Module, ABC):
    """factors_E * (x - mean x) / scale + bias_E, or without the mean or the bias.

    scale: sqrt(mean of the squared numbers above it + eps)
    centred: whether the mean is taken off
    """

    weight: Tensor = registered("weight")
    centred: ClassVar[bool] = False
    bias: Tensor | None
    eps: float

    def factors(self) -> Tensor:
        """factors_E, in float64, without a gradient."""
        return self.weight.detach().double()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""


class RMSNorm(Norm):
    """``rms_norm`` with a trained weight."""

    bias = None

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        if token.takes(x, self.weight, most=token.ROWS):
            return token.rms_norm(x, self.weight, self.eps)
        return rms_norm(x, self.weight, self.eps)

    def into(self, x_XE: Tensor, out_XE: Tensor) -> None:
        """``forward`` for parts of a single token that ``native.token`` takes; writes to ``out``."""
        token.head_norm(x_XE, self.weight, self.eps, 0.0, out_XE)


class OffsetRMSNorm(Norm):
    """``rms_norm_offset`` with a trained weight."""

    bias = None

    def __init__(self, width: int, config: NormConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 1 - config.offset))
        self.config, self.eps = config, config.eps

    def factors(self) -> Tensor:
        """As ``Norm.factors``, the offset added."""
        return self.config.offset + super().factors()

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        if token.takes(x, self.weight, most=token.ROWS):
            return token.rms_norm(x, self.weight, self.eps, self.config.offset)
        return rms_norm_offset(x, self.weight, self.config)

    def into(self, x_XE: Tensor, out_XE: Tensor) -> None:
        """As ``RMSNorm.into``."""
        token.head_norm(x_XE, self.weight, self.eps, self.config.offset, out_XE)


class HeadNorm(nn.Module):
    """RMSNorm over each head, with one weight for queries and one for keys, computed in one call (Qwen 3)."""

    over_heads: ClassVar[bool] = False

    def __init__(self, config: AttentionConfig, norm: NormConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.norm, self.eps = config.heads, config.kv_heads, norm, norm.eps
        self.query = nn.Parameter(torch.full((config.head_width,), 1 - norm.offset))
        self.key = nn.Parameter(torch.full((config.head_width,), 1 - norm.offset))

    def factors(self, head: int, key_head: int) -> tuple[Tensor, Tensor]:
        """The factors (D,) of a head's query and of a key, as ``Norm.factors``."""
        query_D, key_D = (self.norm.offset + each.detach().double() for each in (self.query, self.key))
        return query_D, key_D

    def queries(self, q_BTHD: Tensor) -> Tensor:
        """Queries alone, as in cross-attention."""
        return self._normed(q_BTHD, self.query)

    def keys(self, k_BSGD: Tensor) -> Tensor:
        """Keys alone."""
        return self._normed(k_BSGD, self.key)

    def forward(self, qk_BTXD: Tensor) -> Tensor:
        """Same shape and dtype. Axis X has the query heads, then the key heads."""
        if token.takes(qk_BTXD, self.query, self.key, axes=2):
            normed_BTXD = torch.empty_like(qk_BTXD)
            for part, weight in ((slice(self.heads), self.query), (slice(self.heads, None), self.key)):
                given, out = qk_BTXD[:, :, part], normed_BTXD[:, :, part]
                token.head_norm(given, weight, self.norm.eps, self.norm.offset, out)
            return normed_BTXD
        weight_XD = torch.cat((self.query.expand(self.heads, -1), self.key.expand(self.kv_heads, -1)))
        return self._normed(qk_BTXD, weight_XD)

    def _normed(self, x_BTXD: Tensor, weight_XD: Tensor) -> Tensor:
        if self.norm.offset:
            return rms_norm_offset(x_BTXD, weight_XD, self.norm)
        return rms_norm(x_BTXD, weight_XD, self.norm.eps)


class ProjectionNorm(nn.Module):
    """RMSNorm over all query heads of a place together, and over all its key heads (OLMo 2, 2025, 3.2)."""

    over_heads: ClassVar[bool] = True

    def __init__(self, config: AttentionConfig, norm: NormConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.eps = config.heads, config.kv_heads, norm.eps
        self.query = _rms(config.heads * config.head_width, norm)
        self.key = _rms(config.kv_heads * config.head_width, norm)

    def factors(self, head: int, key_head: int) -> tuple[Tensor, Tensor]:
        """The factors (D,) of a head's query and of a key, as ``Norm.factors``."""
        queries_HD, keys_GD = self.query.factors().view(self.heads, -1), self.key.factors().view(self.kv_heads, -1)
        return queries_HD[head], keys_GD[key_head]

    def queries(self, q_BTHD: Tensor) -> Tensor:
        """Queries alone, as in cross-attention."""
        return self.query(q_BTHD.flatten(2)).view_as(q_BTHD)

    def keys(self, k_BSGD: Tensor) -> Tensor:
        """Keys alone."""
        return self.key(k_BSGD.flatten(2)).view_as(k_BSGD)

    def forward(self, qk_BTXD: Tensor) -> Tensor:
        """Same shape and dtype. Axis X has the query heads, then the key heads."""
        q_BTHD, k_BTGD = qk_BTXD.split_with_sizes((self.heads, self.kv_heads), dim=2)
        if token.takes(qk_BTXD, self.query.weight, self.key.weight, axes=2):
            normed_BTXD = torch.empty_like(qk_BTXD)
            outs = normed_BTXD.split_with_sizes((self.heads, self.kv_heads), dim=2)
            for norm, given, out in zip((self.query, self.key), (q_BTHD, k_BTGD), outs, strict=True):
                norm.into(given.flatten(2), out.flatten(2))
            return normed_BTXD
        normed = self.query(q_BTHD.flatten(2)), self.key(k_BTGD.flatten(2))
        return torch.cat(normed, dim=-1).view_as(qk_BTXD)


class LayerNorm(Norm):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis (Ba et al. 2016)."""

    centred = True
    bias: Tensor | None = registered("bias")

    def __init__(self, width: int, config: NormConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.register_parameter("bias", nn.Parameter(torch.zeros(width)) if config.bias else None)
        self.eps = config.eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        weight, bias = self.weight, self.bias
        if token.takes(x, weight, *(() if bias is None else (bias,)), most=token.ROWS):
            return token.layer_norm(x, weight, bias, self.eps)
        return torch.layer_norm(x, weight.shape, weight, bias, self.eps)


def _rms(width: int, config: NormConfig) -> RMSNorm | OffsetRMSNorm:
    return OffsetRMSNorm(width, config) if config.offset else RMSNorm(width, config.eps)


def norm(config: NormConfig, width: int) -> Norm:
    """The norm the config names."""
    return _rms(width, config) if config.kind == "rms" else LayerNorm(width, config)


def head_norm(config: AttentionConfig, norm: NormConfig) -> HeadNorm | ProjectionNorm | None:
    """The norm of queries and keys that the config names, or None."""
    kinds = {"head": HeadNorm, "projection": ProjectionNorm}
    return kinds[config.head_norm](config, norm) if config.head_norm in kinds else None
