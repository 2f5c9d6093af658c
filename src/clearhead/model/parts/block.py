"""One layer: attention and feed-forward, each added to the residual stream, with norms around them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from clearhead.attend import Mask
from clearhead.model.cache import Cache
from clearhead.model.config import TransformerConfig
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.dropping import Dropping
from clearhead.model.parts.experts import Experts, Loads
from clearhead.model.parts.feed_forward import FeedForward
from clearhead.model.parts.norms import norm
from clearhead.model.parts.positions import TokenTurn, Turn
from clearhead.model.parts.registered import registered
from clearhead.model.parts.source import Source
from clearhead.model.parts.stream import Adds, Maps, Step
from clearhead.native import token
from clearhead.tap import Site, shown


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockInputs:
    """A block's inputs besides the residual stream.

    bias_HN: see ``Score``
    state: the KV cache
    loads: collects expert usage
    source: the text that an encoder-decoder reads
    """

    mask: Mask
    turn: Turn | TokenTurn | None = None
    bias_HN: Tensor | None = None
    state: Cache | None = None
    loads: Loads | None = None
    source: Source | None = None


class Block(Dropping):
    """x + attention(norm x), then x + feed_forward(norm x) (pre-norm: Radford et al. 2019, 2.3)."""

    attention_norm: nn.Module = registered("attention_norm")
    attention: Attention = registered("attention")
    feed_forward_norm: nn.Module = registered("feed_forward_norm")
    feed_forward: FeedForward | Experts = registered("feed_forward")

    def __init__(self, config: TransformerConfig, site: Site) -> None:
        super().__init__()
        self.attention_norm = norm(config.norm, config.width)
        self.attention = Attention(config.width, config.attention, config.norm, site)
        self.feed_forward_norm = norm(config.norm, config.width)
        self.feed_forward = feed_forward(config, site.layer)
        self.dropout = config.dropout
        self.site, self.fed_site = site, Site(site.layer, "feed_forward", site.stack)
        self.stream_site = Site(site.layer, "residual", site.stack)

    def forward(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        """x_BTE -> x_BTE."""
        return shown(self.stream_site, self._through(x_BTE, given))

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        x_BTE = total(x_BTE, self._attended(self._attention(self.attention_norm(x_BTE), given)))
        return total(x_BTE, self._fed(self.feed_forward(self.feed_forward_norm(x_BTE), given.loads)))

    def sites(self) -> dict[Site, int]:
        """The sites that the layer shows, each with its number of query heads, or 0."""
        return {self.site: self.attention.heads, self.fed_site: 0, self.stream_site: 0}

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        return [self._reads(self.attention_norm, None), self._feeds(self.feed_forward_norm, None)]

    def _reads(self, before: nn.Module | None, after: nn.Module | None) -> Adds:
        return Adds(self.site.layer, self.attention, self.site, before, after)

    def _feeds(self, before: nn.Module | None, after: nn.Module | None) -> Adds:
        return Adds(self.site.layer, self.feed_forward, self.fed_site, before, after)

    def _attention(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        return self.attention(x_BTE, turn=given.turn, mask=given.mask, state=given.state, bias_HN=given.bias_HN)

    def _attended(self, x_BTE: Tensor) -> Tensor:
        """What attention adds to the stream."""
        return self.dropped(shown(self.site, x_BTE))

    def _fed(self, x_BTE: Tensor) -> Tensor:
        """What the feed-forward adds to the stream."""
        return self.dropped(shown(self.fed_site, x_BTE))


class PostBlock(Block):
    """norm(x + attention(x)), then norm(x + feed_forward(x)) (post-norm: Vaswani et al. 2017, 5.4; BERT)."""

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        x_BTE = self.attention_norm(total(x_BTE, self._attended(self._attention(x_BTE, given))))
        return self.feed_forward_norm(total(x_BTE, self._fed(self.feed_forward(x_BTE, given.loads))))

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        layer = self.site.layer
        read, fed = self._reads(None, None), self._feeds(None, None)
        return [read, Maps(self.attention_norm, layer), fed, Maps(self.feed_forward_norm, layer)]


class OutputBlock(Block):
    """x + norm(attention(x)), then x + norm(feed_forward(x)) (OLMo 2, 2025, 3.2)."""

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        x_BTE = total(x_BTE, self._attended(self.attention_norm(self._attention(x_BTE, given))))
        return total(x_BTE, self._fed(self.feed_forward_norm(self.feed_forward(x_BTE, given.loads))))

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        return [self._reads(None, self.attention_norm), self._feeds(None, self.feed_forward_norm)]


class SandwichBlock(Block):
    """x + norm(attention(norm x)), then x + norm(feed_forward(norm x)) (Gemma 2, 2024, 2)."""

    def __init__(self, config: TransformerConfig, site: Site) -> None:
        super().__init__(config, site)
        self.attention_out_norm = norm(config.norm, config.width)
        self.feed_forward_out_norm = norm(config.norm, config.width)

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        attended_BTE = self._attention(self.attention_norm(x_BTE), given)
        x_BTE = total(x_BTE, self._attended(self.attention_out_norm(attended_BTE)))
        fed_BTE = self.feed_forward(self.feed_forward_norm(x_BTE), given.loads)
        return total(x_BTE, self._fed(self.feed_forward_out_norm(fed_BTE)))

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        return [
            self._reads(self.attention_norm, self.attention_out_norm),
            self._feeds(self.feed_forward_norm, self.feed_forward_out_norm),
        ]


class ParallelBlock(Block):
    """x + attention(norm x) + feed_forward(norm' x), both read from the same x (Black et al. 2022, GPT-NeoX, 2.1)."""

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        attended_BTE = self._attended(self._attention(self.attention_norm(x_BTE), given))
        fed_BTE = self._fed(self.feed_forward(self.feed_forward_norm(x_BTE), given.loads))
        return total(total(fed_BTE, attended_BTE), x_BTE)


def total(a_BTE: Tensor, b_BTE: Tensor) -> Tensor:
    """a + b."""
    return token.add(a_BTE, b_BTE) if token.takes(a_BTE, b_BTE, most=token.ROWS) else a_BTE + b_BTE


BLOCKS: dict[str, type[Block]] = {
    "pre": Block,
    "post": PostBlock,
    "output": OutputBlock,
    "sandwich": SandwichBlock,
    "parallel": ParallelBlock,
}


def block(config: TransformerConfig, site: Site) -> Block:
    """A layer in the arrangement the config names."""
    return BLOCKS[config.arrangement](config, site)


def feed_forward(config: TransformerConfig, layer: int) -> FeedForward | Experts:
    """The feed-forward of this layer, as the config says."""
    f = config.feed_forward
    if f.experts is None:
        return FeedForward(config.width, f)
    if layer in f.experts.dense:
        return FeedForward(config.width, replace(f, width=f.experts.dense_width or f.width, experts=None))
    return Experts(config.width, f, f.experts)
