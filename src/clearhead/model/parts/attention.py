"""Multi-head attention: the projections around ``attend``."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from clearhead.attend import Mask, Score, attend
from clearhead.model.cache import Cache
from clearhead.model.parts.config import AttentionConfig, NormConfig
from clearhead.model.parts.linear import Linear, Projections
from clearhead.model.parts.norms import head_norm
from clearhead.model.parts.positions import TokenTurn, Turn
from clearhead.model.parts.registered import registered
from clearhead.tap import Site


class Attention(nn.Module):
    """Self-attention of one layer; ``qkv`` stacks the three projections."""

    qkv: Projections = registered("qkv")
    out: Linear = registered("out")

    def __init__(self, width: int, config: AttentionConfig, norm: NormConfig, site: Site) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = config.heads, config.kv_heads, config.head_width
        self.site = site
        self.score = Score(scale=config.scale, softcap=config.softcap)
        self.qkv = Projections(width, sum(config.projections), bias=config.bias, rows=config.projections)
        self.head_norm = head_norm(config, norm)
        self.sinks = nn.Parameter(torch.empty(config.heads)) if config.sinks else None
        self.out = Linear(config.heads * config.head_width, width, bias=config.out_bias)

    def forward(
        self,
        x_BTE: Tensor,
        *,
        turn: Turn | TokenTurn | None,
        mask: Mask,
        state: Cache | None,
        bias_HN: Tensor | None = None,
    ) -> Tensor:
        """x_BTE -> x_BTE; with a state, x holds only the new places. bias_HN: see ``Score``."""
        B, T, _ = x_BTE.shape
        # Normalised or rotated queries and keys are stored apart from the values anyway.
        qk_BTF, v_BTF = self.qkv(x_BTE, apart=self.head_norm is None and turn is None)
        qk_BTXD, v_BTGD = qk_BTF.view(B, T, -1, self.head_width), v_BTF.view(B, T, -1, self.head_width)
        if self.head_norm is not None:
            qk_BTXD = self.head_norm(qk_BTXD)
        if turn is not None:
            qk_BTXD = turn(qk_BTXD)
        q_BHTD, k_BGTD = qk_BTXD.transpose(1, 2).split_with_sizes((self.heads, self.kv_heads), 1)
        v_BGTD = v_BTGD.transpose(1, 2)
        if state is not None:
            k_BGTD, v_BGTD = state.extend(self.site.layer, k_BGTD, v_BGTD)
        score = self.score
        if self.sinks is not None or bias_HN is not None:
            bias_HN = None if bias_HN is None else bias_HN.to(q_BHTD.dtype)  # under autocast it is wider
            score = replace(score, sinks_H=self.sinks, bias_HN=bias_HN)
        o_BHTD = attend(q_BHTD, k_BGTD, v_BGTD, mask=mask, score=score, site=self.site)
        return self.out(o_BHTD.transpose(1, 2).reshape(B, T, -1))
