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
    kept: keys and values by layer, computed by the first pass and used by all others; None keeps nothing (training)
    """

    x_BSE: Tensor
    mask: Mask
    kept: dict[int, Projected] | None = field(default=None)

    def projected(self, layer: int, project: Callable[[Tensor], Projected]) -> Projected:
        """k_BGSD and v_BGSD of a layer, which ``project`` computes from x_BSE."""
        if self.kept is None:
            return project(self.x_BSE)
        if layer not in self.kept:
            self.kept[layer] = project(self.x_BSE)
        return self.kept[layer]

    def select(self, rows_R: Tensor) -> Source:
        """The source with some rows of the batch, in the given order; a row may come several times."""
        parts = tuple(
            Padding(part.start_B[rows_R], part.stop_B[rows_R]) if isinstance(part, Padding) else part
            for part in self.mask.parts
        )
        kept = None if self.kept is None else {n: (k[rows_R], v[rows_R]) for n, (k, v) in self.kept.items()}
        return Source(x_BSE=self.x_BSE[rows_R], mask=Mask(parts), kept=kept)
