"""The text that an encoder-decoder reads, as its decoder's cross-attention sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clearhead.attend import Mask
from clearhead.attend.mask import Padding

Projected = tuple[Tensor, Tensor]
PLACES = 64  # the least that is made room for


def roomy(places: int) -> int:
    """Places to make room for if so many are needed for one text, so that most later ones fit in the same memory."""
    return max(PLACES, 1 << (places - 1).bit_length())


@dataclass(kw_only=True, eq=False)
class Source:
    """The encoder's output for a batch of texts.

    mask: hides padding
    beams: rows of the decoder's batch that read each text, one after another
    kept: keys and values by layer, computed by the first pass and used by all others; None keeps nothing (training)
    memory: where those of a single text are put, by layer; the next text can use it again
    """

    x_BSE: Tensor
    mask: Mask
    beams: int = 1
    kept: dict[int, Projected] | None = field(default=None)
    memory: dict[int, Projected] = field(default_factory=dict[int, Projected])

    def projected(self, layer: int, project: Callable[[Tensor], Projected]) -> Projected:
        """k_BGSD and v_BGSD of a layer, which ``project`` computes from x_BSE."""
        if self.kept is None:
            return project(self.x_BSE)
        if layer not in self.kept:
            made = project(self.x_BSE)
            self.kept[layer] = made if len(self.x_BSE) > 1 or torch.is_grad_enabled() else self._put(layer, made)
        return self.kept[layer]

    def _put(self, layer: int, made: Projected) -> Projected:
        """Copies keys and values of a text to where its layer has memory, a group's one after another."""
        S = made[0].shape[2]
        if layer not in self.memory or self.memory[layer][0].shape[2] < S:
            size = roomy(S)
            k_1GSD, v_1GSD = (each.new_empty(*each.shape[:2], size, each.shape[3]) for each in made)
            self.memory[layer] = k_1GSD, v_1GSD
        k_1GSD, v_1GSD = (room.narrow(2, 0, S).copy_(each) for room, each in zip(self.memory[layer], made, strict=True))
        return k_1GSD, v_1GSD

    def select(self, rows_R: Tensor) -> Source:
        """The source for these rows of the decoder's batch; the rows of a text stay together."""
        if len(rows_R) == self.beams and len(self.x_BSE) == 1:
            return self
        texts_B = rows_R[:: self.beams] // self.beams
        if texts_B.tolist() == list(range(len(self.x_BSE))):  # only beams of one text changed places, as in most steps
            return self
        parts = tuple(
            Padding(part.start_B[texts_B], part.stop_B[texts_B]) if isinstance(part, Padding) else part
            for part in self.mask.parts
        )
        kept = None if self.kept is None else {n: (k[texts_B], v[texts_B]) for n, (k, v) in self.kept.items()}
        return Source(x_BSE=self.x_BSE[texts_B], mask=Mask(parts), beams=self.beams, kept=kept)
