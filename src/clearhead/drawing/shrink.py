"""Maps of any length as small images: each cell shows the largest weight it covers, or is marked as hidden."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
import torch
from torch import Tensor

from clearhead.drawing.colours import HIDDEN, Weights
from clearhead.tap import Site
from clearhead.watching import TextRecord
from clearhead.watching.cells import Image


class Shrinker:
    """Shrinks a record's maps to images of at most ``cells`` x ``cells``.

    A cell is HIDDEN if no query in it sees any key in it, which is computed once for all heads that share a mask.
    """

    def __init__(self, record: TextRecord, cells: int) -> None:
        self._record, self._cells = record, cells
        self._visible: dict[Hashable, Tensor] = {}

    def size(self, site: Site) -> tuple[int, int]:
        """(height, width) of a site's images."""
        Q, K = self._record.map(site, 0).shape
        return min(self._cells, Q), min(self._cells, K)

    def covers(self, sites: Iterable[Site]) -> tuple[int, int]:
        """The most queries and keys in one cell of these sites' images; (1, 1) if nothing is pooled."""
        covers = [
            [
                -(-places // cells)
                for places, cells in zip(self._record.map(site, 0).shape, self.size(site), strict=True)
            ]
            for site in sites
        ]
        return max(tall for tall, _ in covers), max(wide for _, wide in covers)

    def image(self, site: Site, head: int) -> Weights:
        """float32 (height, width): the largest weight in each cell, HIDDEN where none is visible."""
        heads = range(head, head + 1)
        (pictures_HYX,) = self._record.sweep(site, self.measure(site), heads=heads)
        return self.marked(site, pictures_HYX, heads)[0]

    def measure(self, site: Site) -> Image:
        """The measure that computes a site's images; pass its result to ``marked``."""
        return Image(*self.size(site), pool="max")

    def marked(self, site: Site, pictures_HYX: Tensor, heads: range | None = None) -> Weights:
        """float32 (heads, height, width): the images, with HIDDEN cells marked."""
        visible_HYX = self._seen(site)
        if heads is not None and visible_HYX.shape[0] > 1:
            visible_HYX = visible_HYX[heads.start : heads.stop]
        return torch.where(visible_HYX, pictures_HYX, HIDDEN).numpy().astype(np.float32)

    def _seen(self, site: Site) -> Tensor:
        key = self._record.mask_key(site)
        if key not in self._visible:
            self._visible[key] = self._shrink(site)
        return self._visible[key]

    def _shrink(self, site: Site) -> Tensor:
        """Visible cells, bool (heads or 1, height, width): any() over AttentionMap.image's bins."""
        (Q, K), (height, width) = self._record.map(site, 0).shape, self.size(site)
        bin_Q, bin_K = torch.arange(Q) * height // Q, torch.arange(K) * width // K
        seen = torch.zeros(0)
        for rows, tile_HQK in self._record.visible_blocks(site):
            heads, count = tile_HQK.shape[:2]
            if not seen.numel():
                seen = torch.zeros(heads, height, width)
            narrow = torch.zeros(heads, count, width)
            narrow.scatter_reduce_(2, bin_K.expand(heads, count, -1), tile_HQK.float(), "amax")
            seen.scatter_reduce_(1, bin_Q[rows, None].expand(heads, -1, width), narrow, "amax")
        return seen > 0
