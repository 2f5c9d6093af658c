"""Multi-head attention: projections around the door."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.attend import Mask, Score, Site, attend
from clearhead.model.cache import Cache
from clearhead.model.config import ModelConfig
from clearhead.model.norms import RMSNorm
from clearhead.model.positions import Turn


class Attention(nn.Module):
    """Self-attention of one layer; ``qkv`` holds the three projections below one another."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        a = config.attention
        self.heads, self.kv_heads, self.head_width = a.heads, a.kv_heads, a.head_width
        self.site = Site(layer)
        self.score = Score(softcap=a.softcap)
        self.qkv = nn.Linear(config.width, (a.heads + 2 * a.kv_heads) * a.head_width, bias=a.bias)
        self.query_norm = RMSNorm(a.head_width, config.norm.eps) if a.head_norm else nn.Identity()
        self.key_norm = RMSNorm(a.head_width, config.norm.eps) if a.head_norm else nn.Identity()
        self.out = nn.Linear(a.heads * a.head_width, config.width, bias=a.out_bias)

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE; with a cache, x holds the newest places only."""
        B, T, _ = x_BTE.shape
        qkv_BTXD = self.qkv(x_BTE).view(B, T, -1, self.head_width)
        q_BTHD, k_BTGD, v_BTGD = qkv_BTXD.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        q_BHTD = self.query_norm(q_BTHD).transpose(1, 2)
        k_BGTD = self.key_norm(k_BTGD).transpose(1, 2)
        v_BGTD = v_BTGD.transpose(1, 2)
        if turn is not None:
            q_BHTD, k_BGTD = turn(q_BHTD), turn(k_BGTD)
        if cache is not None:
            k_BGTD, v_BGTD = cache.extend(self.site.layer, k_BGTD, v_BGTD)
        o_BHTD = attend(q_BHTD, k_BGTD, v_BGTD, mask=mask, score=self.score, site=self.site)
        return self.out(o_BHTD.transpose(1, 2).reshape(B, T, -1))
