"""What one head reads at one query: its top keys and a few short measures of the row."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clearhead.tap import Site
from clearhead.watching import TextRecord


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One row of one map. ``keys`` are places, ``weights`` theirs in descending order; hidden keys never appear."""

    site: Site
    head: int
    keys: tuple[int, ...]
    weights: tuple[float, ...]
    entropy: float  # nats
    first: float  # weight on place 0
    previous: float  # weight on the place before the query's own; 0 at place 0
    distance: float  # expected number of places back to what is read
    sink: float | None  # weight on the attention sink, which is no key; None in a head without one
    error: float  # distance of the row's sum, the sink's weight counted, from 1; 0 when no key is visible


def read(record: TextRecord, site: Site, head: int, row: int, n: int) -> Reading:
    """The ``n`` keys (fewer when fewer are visible) with the largest weights in query row ``row``, and its measures.

    The same numbers as the map's ``top``, ``entropy``, ``mass_on_first``, ... of that row, without the other rows.
    """
    attention = record.map(site, head)
    weights_K = attention[row]
    sink = float(attention.mass_on_sink(row)) if attention.has_sink else None
    visible_1K = record.visible(site, slice(row, row + 1))[:, 0]
    visible_K = visible_1K[head if visible_1K.shape[0] > 1 else 0]
    place = row + record.first_place
    top = torch.topk(weights_K.masked_fill(~visible_K, -1.0), min(n, int(visible_K.sum())))
    back_K = place - torch.arange(weights_K.shape[0])
    return Reading(
        site=site,
        head=head,
        keys=tuple(int(key) for key in top.indices),
        weights=tuple(float(weight) for weight in top.values),
        entropy=max(0.0, float(-torch.xlogy(weights_K, weights_K).sum())),  # 1 may be rounded to just above
        first=float(weights_K[0]),
        previous=float(weights_K[place - 1]) if place > 0 else 0.0,
        distance=float((weights_K * back_K.to(weights_K)).sum()),
        sink=sink,
        error=abs(float(weights_K.sum()) + (sink or 0.0) - 1.0) if bool(visible_K.any()) else 0.0,
    )
