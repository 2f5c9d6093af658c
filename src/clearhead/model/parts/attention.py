"""Multi-head attention: projections around the door."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from clearhead.attend import Mask, Score, attend
from clearhead.model.cache import Cache
from clearhead.model.config import ModelConfig
from clearhead.model.parts.linear import Linear, linear
from clearhead.model.parts.norms import head_norm
from clearhead.model.parts.positions import Turn
from clearhead.tap import Site


def site(config: ModelConfig, layer: int) -> Site:
    """Where a layer's attention is."""
    return Site(layer, stack="decoder" if config.encoder is None else "encoder")


class Attention(nn.Module):
    """Self-attention of one layer; ``qkv`` holds the three projections below one another."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        a = config.attention
        self.heads, self.kv_heads, self.head_width, self.biased = a.heads, a.kv_heads, a.head_width, a.bias
        self.site = site(config, layer)
        self.score = Score(scale=a.scale, softcap=a.softcap)
        self.qkv = Linear(config.width, (a.heads + 2 * a.kv_heads) * a.head_width, bias=a.bias)
        self.head_norm = head_norm(a, config.norm)
        self.sinks = nn.Parameter(torch.empty(a.heads)) if a.sinks else None
        self.out = Linear(a.heads * a.head_width, config.width, bias=a.out_bias)

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE; with a cache, x holds the newest places only."""
        B, T, _ = x_BTE.shape
        if self.head_norm is None and turn is None and not torch.is_grad_enabled():
            # Apart, so that who keeps q and k keeps no values with them: their copies cost a watched pass 4 %.
            qk_BTXD, v_BTGD = (each.view(B, T, -1, self.head_width) for each in self._apart(x_BTE))
        else:
            qkv_BTXD = self.qkv(x_BTE).view(B, T, -1, self.head_width)
            qk_BTXD, v_BTGD = qkv_BTXD.split_with_sizes((self.heads + self.kv_heads, self.kv_heads), dim=2)
        if self.head_norm is not None:
            qk_BTXD = self.head_norm(qk_BTXD)
        if turn is not None:
            qk_BTXD = turn(qk_BTXD)
        q_BHTD, k_BGTD = qk_BTXD.transpose(1, 2).split_with_sizes((self.heads, self.kv_heads), dim=1)
        v_BGTD = v_BTGD.transpose(1, 2)
        if cache is not None:
            k_BGTD, v_BGTD = cache.extend(self.site.layer, k_BGTD, v_BGTD)
        score = self.score if self.sinks is None else replace(self.score, sinks_H=self.sinks)
        o_BHTD = attend(q_BHTD, k_BGTD, v_BGTD, mask=mask, score=score, site=self.site)
        return self.out(o_BHTD.transpose(1, 2).reshape(B, T, -1))

    def _apart(self, x_BTE: Tensor) -> list[Tensor]:
        """Queries and keys, and values, each in memory of its own."""
        rows = ((self.heads + self.kv_heads) * self.head_width, self.kv_heads * self.head_width)
        biases = self.qkv.bias.split_with_sizes(rows) if self.biased else (None, None)
        weights = self.qkv.weight.split_with_sizes(rows)
        return [linear(x_BTE, weight, bias) for weight, bias in zip(weights, biases, strict=True)]
