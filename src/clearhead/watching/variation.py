"""How far the maps of two records are apart: the same text in two models, in two checkpoints, or with edits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.attend.request import wide
from clearhead.errors import WatchError, shown
from clearhead.watching.engine import name, shape, side_by_side
from clearhead.watching.passes import Segment
from clearhead.watching.reducers import Strip


def total_variation(one: Sequence[Segment], other: Sequence[Segment], heads: range) -> Tensor:
    """d_HQ = sum_j |w - w'| / 2 over the keys and the sink: the share of a row's weight that lies elsewhere in the
    other map. 0 for equal rows, 1 for rows that share no key.

    The total variation distance of two distributions (Levin, Peres and Wilmer 2009, 4.1).
    Raises WatchError if the maps differ in shape or hide different keys.
    """
    if shape(one) != shape(other):
        raise WatchError(f"{name(one, heads)}: the other map has the shape {shape(other)}; compare maps of equal shape")
    if _sees(one) != _sees(other):
        masks = " and ".join(shown([each.call.mask.parts for each in some]) for some in (one, other))
        raise WatchError(f"{name(one, heads)}: the other map hides other keys, by {masks}; compare maps with one mask")
    H, Q = len(heads), shape(one)[0]
    dtype = torch.promote_types(*(wide(each[0].call.q_BHQD.dtype) for each in (one, other)))
    with torch.inference_mode(mode=False):  # as the strips are computed
        found_HQ = torch.zeros(H, Q, dtype=dtype, device=one[0].call.q_BHQD.device)

    def add(a: Strip, b: Strip) -> None:
        apart_HQ = (a.weights_HQK - b.weights_HQK).abs_().sum(2)
        apart_HQ += (a.sinks_HQ / a.totals_HQ - b.sinks_HQ / b.totals_HQ).abs()
        found_HQ[a.heads, a.rows] = apart_HQ / 2

    side_by_side(one, other, heads, add)
    return found_HQ.cpu()


def _sees(segments: Sequence[Segment]) -> list[tuple[object, ...]]:
    """Equal for maps whose rows see the same keys, in the same passes."""
    return [(each.call.mask.parts, each.queries.start, each.count, each.keys) for each in segments]
