"""Attention of one text to another: an encoder-decoder's decoder to what its encoder read."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.attend import Score, attend
from clearhead.model.parts.config import AttentionConfig, NormConfig
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import head_norm
from clearhead.model.parts.source import Source
from clearhead.tap import Site


class CrossAttention(nn.Module):
    """Queries from the stream, keys and values from the source (Vaswani et al. 2017, 3.2.3); ``kv`` stacks both."""

    def __init__(self, width: int, config: AttentionConfig, norm: NormConfig, site: Site) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = config.heads, config.kv_heads, config.head_width
        self.site = site
        self.score = Score(scale=config.scale, softcap=config.softcap)
        queries, *shared = config.projections
        self.query = Linear(width, queries, bias=config.bias)
        self.kv = Linear(width, sum(shared), bias=config.bias, rows=shared)
        self.head_norm = head_norm(config, norm)
        self.out = Linear(queries, width, bias=config.out_bias)

    def forward(self, x_BTE: Tensor, source: Source) -> Tensor:
        """x_BTE -> x_BTE. Rows that read the same text become queries of one row, as there are no positions here."""
        B, T, _ = x_BTE.shape
        q_BTHD = self.query(x_BTE).unflatten(-1, (self.heads, self.head_width))
        if self.head_norm is not None:
            q_BTHD = self.head_norm.queries(q_BTHD)
        k_BGSD, v_BGSD = source.projected(self.site.layer, self.project)
        q_BHQD = q_BTHD.reshape(B // source.beams, source.beams * T, self.heads, self.head_width).transpose(1, 2)
        o_BHQD = attend(q_BHQD, k_BGSD, v_BGSD, mask=source.mask, score=self.score, site=self.site)
        return self.out(o_BHQD.transpose(1, 2).reshape(B, T, -1))

    def project(self, x_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """k_BGSD and v_BGSD of the source."""
        k_BSGD, v_BSGD = self.kv(x_BSE).unflatten(-1, (-1, self.head_width)).chunk(2, dim=2)
        if self.head_norm is not None:
            k_BSGD = self.head_norm.keys(k_BSGD)
        return k_BSGD.transpose(1, 2), v_BSGD.transpose(1, 2)
