"""One layer: attention and feed-forward, each added to the residual stream, with norms around them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import Mask
from clearhead.model.cache import Cache
from clearhead.model.config import ModelConfig
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.experts import feed_forward
from clearhead.model.parts.norms import norm
from clearhead.model.parts.positions import Turn


class Block(nn.Module):
    """x + attention(norm x), then x + feed_forward(norm x) (pre-norm: Radford et al. 2019, 2.3)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        normed = layer == 0 and config.encoder is not None and config.arrangement == "pre"  # by the embedding's norm
        self.attention_norm = nn.Identity() if normed else norm(config.norm, config.width)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = norm(config.norm, config.width)
        self.feed_forward = feed_forward(config, layer)
        self.dropout = config.dropout

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        attended_BTE = self.attention(self.attention_norm(x_BTE), turn=turn, mask=mask, cache=cache)
        x_BTE = x_BTE + self._dropped(attended_BTE)
        return x_BTE + self._dropped(self.feed_forward(self.feed_forward_norm(x_BTE)))

    def _dropped(self, x_BTE: Tensor) -> Tensor:
        # no call of nn.Dropout where nothing is dropped: two of them a layer were 5 % of a decoding step's overhead
        return F.dropout(x_BTE, self.dropout) if self.training and self.dropout else x_BTE


class PostBlock(Block):
    """norm(x + attention(x)), then norm(x + feed_forward(x)) (post-norm: Vaswani et al. 2017, 5.4; BERT)."""

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        x_BTE = self.attention_norm(x_BTE + self._dropped(self.attention(x_BTE, turn=turn, mask=mask, cache=cache)))
        return self.feed_forward_norm(x_BTE + self._dropped(self.feed_forward(x_BTE)))


class OutputBlock(Block):
    """x + norm(attention(x)), then x + norm(feed_forward(x)) (OLMo 2, 2025, 3.2)."""

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        attended_BTE = self.attention(x_BTE, turn=turn, mask=mask, cache=cache)
        x_BTE = x_BTE + self._dropped(self.attention_norm(attended_BTE))
        return x_BTE + self._dropped(self.feed_forward_norm(self.feed_forward(x_BTE)))


class SandwichBlock(Block):
    """x + norm(attention(norm x)), then x + norm(feed_forward(norm x)) (Gemma 2, 2024, 2)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.attention_out_norm = norm(config.norm, config.width)
        self.feed_forward_out_norm = norm(config.norm, config.width)

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        attended_BTE = self.attention(self.attention_norm(x_BTE), turn=turn, mask=mask, cache=cache)
        x_BTE = x_BTE + self._dropped(self.attention_out_norm(attended_BTE))
        fed_BTE = self.feed_forward(self.feed_forward_norm(x_BTE))
        return x_BTE + self._dropped(self.feed_forward_out_norm(fed_BTE))


class ParallelBlock(Block):
    """x + attention(norm x) + feed_forward(norm' x), both read from the same x (Black et al. 2022, GPT-NeoX, 2.1)."""

    def forward(self, x_BTE: Tensor, *, turn: Turn | None, mask: Mask, cache: Cache | None) -> Tensor:
        """x_BTE -> x_BTE."""
        attended_BTE = self.attention(self.attention_norm(x_BTE), turn=turn, mask=mask, cache=cache)
        fed_BTE = self.feed_forward(self.feed_forward_norm(x_BTE))
        return self._dropped(fed_BTE) + self._dropped(attended_BTE) + x_BTE


BLOCKS: dict[str, type[Block]] = {
    "pre": Block,
    "post": PostBlock,
    "output": OutputBlock,
    "sandwich": SandwichBlock,
    "parallel": ParallelBlock,
}


def block(config: ModelConfig, layer: int) -> Block:
    """A layer in the arrangement the config names."""
    return BLOCKS[config.arrangement](config, layer)
