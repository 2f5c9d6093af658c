"""The text that an encoder-decoder reads, as its decoder's cross-attention sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from clearhead.attend import Mask
from clearhead.attend.mask import Padding

Projected = tuple[Tensor, Tensor]


@dataclass(kw_only=True, eq=False)
class Source:
    """The encoder's output for a batch of texts.

    mask: hides padding
    beams: rows of the decoder's batch that read each text, one after another
    kept: keys and values by layer, computed by the first pass and used by all others; None keeps nothing (training)
    """

    x_BSE: Tensor
    mask: Mask
    beams: int = 1
    kept: dict[int, Projected] | None = field(default=None)

    def projected(self, layer: int, project: Callable[[Tensor], Projected]) -> Projected:
        """k_BGSD and v_BGSD of a layer, which ``project`` computes from x_BSE."""
        if self.kept is None:
            return project(self.x_BSE)
        if layer not in self.kept:
            self.kept[layer] = project(self.x_BSE)
        return self.kept[layer]

    def select(self, rows_R: Tensor) -> Source:
        """The source for these rows of the decoder's batch; the rows of a text stay together."""
        texts_B = rows_R[:: self.beams] // self.beams
        if texts_B.tolist() == list(range(len(self.x_BSE))):  # only beams of one text changed places, as in most steps
            return self
        parts = tuple(
            Padding(part.start_B[texts_B], part.stop_B[texts_B]) if isinstance(part, Padding) else part
            for part in self.mask.parts
        )
        kept = None if self.kept is None else {n: (k[texts_B], v[texts_B]) for n, (k, v) in self.kept.items()}
        return Source(x_BSE=self.x_BSE[texts_B], mask=Mask(parts), beams=self.beams, kept=kept)
