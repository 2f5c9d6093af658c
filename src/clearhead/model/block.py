"""One layer: attention and feed-forward, each normalised before and added to the residual stream."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import Mask
from clearhead.model.attention import Attention
from clearhead.model.cache import Cache
from clearhead.model.config import ModelConfig
from clearhead.model.feed_forward import FeedForward
from clearhead.model.norms import norm
from clearhead.model.positions import Turn


class Block(nn.Module):
    """x + attention(norm x), then x + feed_forward(norm x) (pre-norm: Radford et al. 2019, 2.3)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = norm(config.norm, config.width)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = norm(config.norm, config.width)
        self.feed_forward = FeedForward(config.width, config.feed_forward)
        self.dropout = config.dropout

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        attended_BTE = self.attention(self.attention_norm(x_BTE), turn=turn, mask=mask, cache=cache)
        x_BTE = x_BTE + self._dropped(attended_BTE)
        return x_BTE + self._dropped(self.feed_forward(self.feed_forward_norm(x_BTE)))

    def _dropped(self, x_BTE: Tensor) -> Tensor:
        # no call of nn.Dropout where nothing is dropped: two of them a layer were 5 % of a decoding step's overhead
        return F.dropout(x_BTE, self.dropout) if self.training and self.dropout else x_BTE
