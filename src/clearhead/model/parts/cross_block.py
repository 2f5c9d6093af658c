"""One layer of an encoder-decoder's decoder: attention to its own text, to the source, and a feed-forward."""

from __future__ import annotations

from torch import Tensor

from clearhead.model.config import TransformerConfig
from clearhead.model.parts.block import Block, BlockInputs, total
from clearhead.model.parts.cross_attention import CrossAttention
from clearhead.model.parts.norms import norm
from clearhead.model.parts.stream import Adds, Maps, Step
from clearhead.tap import Site, shown


class CrossBlock(Block):
    """x + attention(norm x), x + cross(norm x), x + feed_forward(norm x)."""

    def __init__(self, config: TransformerConfig, site: Site) -> None:
        super().__init__(config, site)
        self.cross_site = Site(site.layer, "cross", site.stack)
        self.cross_norm = norm(config.norm, config.width)
        self.cross = CrossAttention(config.width, config.attention, config.norm, self.cross_site)

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        x_BTE = total(x_BTE, self._attended(self._attention(self.attention_norm(x_BTE), given)))
        x_BTE = total(x_BTE, self._crossed(self.cross_norm(x_BTE), given))
        return total(x_BTE, self._fed(self.feed_forward(self.feed_forward_norm(x_BTE), given.loads)))

    def _crossed(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        """What cross-attention adds to the stream."""
        assert given.source is not None, "an encoder-decoder's pass has a source"
        return self.dropped(shown(self.cross_site, self.cross(x_BTE, given.source)))

    def sites(self) -> dict[Site, int]:
        """The sites that the layer shows, each with its number of query heads, or 0."""
        first, *others = super().sites().items()
        return dict([first, (self.cross_site, self.cross.heads), *others])

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        read, fed = super().steps()
        return [read, Adds(self.site.layer, self.cross, self.cross_site, self.cross_norm), fed]


class PostCrossBlock(CrossBlock):
    """norm(x + attention(x)), norm(x + cross(x)), norm(x + feed_forward(x)) (Vaswani et al. 2017, 3.1)."""

    def _through(self, x_BTE: Tensor, given: BlockInputs) -> Tensor:
        x_BTE = self.attention_norm(total(x_BTE, self._attended(self._attention(x_BTE, given))))
        x_BTE = self.cross_norm(total(x_BTE, self._crossed(x_BTE, given)))
        return self.feed_forward_norm(total(x_BTE, self._fed(self.feed_forward(x_BTE, given.loads))))

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        layer = self.site.layer
        parts = (
            (self._reads(None, None), self.attention_norm),
            (Adds(layer, self.cross, self.cross_site), self.cross_norm),
            (self._feeds(None, None), self.feed_forward_norm),
        )
        return [step for adds, normed in parts for step in (adds, Maps(normed, layer))]


CROSS_BLOCKS: dict[str, type[CrossBlock]] = {"pre": CrossBlock, "post": PostCrossBlock}
