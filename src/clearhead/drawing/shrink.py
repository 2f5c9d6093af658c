"""Maps of any length as small images: each cell shows the largest weight it covers, or is marked as hidden."""

from __future__ import annotations

from collections.abc import Hashable

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
        self._record = record
        Q, K = record.shape
        self.height, self.width = min(cells, Q), min(cells, K)
        self._visible: dict[Hashable, Tensor] = {}

    @property
    def covers(self) -> tuple[int, int]:
        """The most queries and keys in one cell; (1, 1) if nothing is pooled."""
        Q, K = self._record.shape
        return -(-Q // self.height), -(-K // self.width)

    @property
    def pooled(self) -> bool:
        """True if a cell covers more than one weight."""
        return self.covers != (1, 1)

    def image(self, site: Site, head: int) -> Weights:
        """float32 (height, width): the largest weight in each cell, HIDDEN where none is visible."""
        heads = range(head, head + 1)
        (pictures_HYX,) = self._record.sweep(site, self.measure(), heads=heads)
        return self.marked(site, pictures_HYX, heads)[0]

    def measure(self) -> Image:
        """The measure that computes the images; pass its result to ``marked``."""
        return Image(self.height, self.width, pool="max")

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
        Q, K = self._record.shape
        bin_Q, bin_K = torch.arange(Q) * self.height // Q, torch.arange(K) * self.width // K
        seen = torch.zeros(0)
        for rows, tile_HQK in self._record.visible_blocks(site):
            heads, count = tile_HQK.shape[:2]
            if not seen.numel():
                seen = torch.zeros(heads, self.height, self.width)
            narrow = torch.zeros(heads, count, self.width)
            narrow.scatter_reduce_(2, bin_K.expand(heads, count, -1), tile_HQK.float(), "amax")
            seen.scatter_reduce_(1, bin_Q[rows, None].expand(heads, -1, self.width), narrow, "amax")
        return seen > 0
