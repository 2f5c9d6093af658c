"""What one head attends to at one query: its top keys and a few measures of its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from clearhead.tap import Site
from clearhead.watching import TextRecord
from clearhead.watching.cells import Cells
from clearhead.watching.measures import Sink


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """One row of one map. ``keys`` are the places with the largest ``weights``, in descending order, none hidden."""

    site: Site
    head: int
    keys: tuple[int, ...]
    weights: tuple[float, ...]
    entropy: float  # nats
    first: float  # weight on place 0
    previous: float | None  # weight on the place before the query's own; 0 at place 0; None if keys are another text
    distance: float | None  # expected number of places back to what is attended to; None if keys are another text
    sink: float | None  # weight on the attention sink, which is not a key; None if the head has none
    error: float  # distance of the row's sum, sink included, from 1; 0 if no key is visible


def read(record: TextRecord, site: Site, head: int, row: int, n: int) -> MapRow:
    """The ``n`` visible keys with the largest weights in query row ``row`` (or all, if fewer), and its measures.

    Equal to the map's ``top``, ``entropy``, ``mass_on_first``, ... for that row; the other rows are not computed.
    """
    return readings(record, [(site, head)], range(row, row + 1), n)[0]


def readings(record: TextRecord, among: Sequence[tuple[Site, int]], rows: range, n: int) -> list[MapRow]:
    """``read`` for each head in ``among`` and each row, heads first; takes one sweep per site."""
    asked = slice(rows.start, rows.stop)
    found: list[MapRow] = []
    for site, of_site in groupby(among, key=lambda each: each[0]):
        heads = [head for _, head in of_site]
        swept = range(min(heads), max(heads) + 1)
        places = slice(0, record.map(site, 0).shape[1])
        first = record.first_place(site) if site.stack == site.reads else None
        weights_HQK, sunk_HQ = record.sweep(site, Cells(asked, places), Sink(), heads=swept, rows=asked)
        visible_HQK = record.visible(site, asked)
        for head in heads:
            sunk_Q = sunk_HQ[head - swept.start] if record.map(site, head).has_sink else None
            for q, row in enumerate(rows):
                found.append(
                    _reading(
                        site,
                        head,
                        weights_HQK[head - swept.start, q],
                        visible_HQK[head if visible_HQK.shape[0] > 1 else 0, q],
                        None if first is None else row + first,
                        n,
                        None if sunk_Q is None else float(sunk_Q[row]),
                    )
                )
    return found


def _reading(
    site: Site, head: int, weights_K: Tensor, visible_K: Tensor, place: int | None, n: int, sink: float | None
) -> MapRow:
    top = torch.topk(weights_K.masked_fill(~visible_K, -1.0), min(n, int(visible_K.sum())))
    back_K = None if place is None else place - torch.arange(weights_K.shape[0])
    return MapRow(
        site=site,
        head=head,
        keys=tuple(int(key) for key in top.indices),
        weights=tuple(float(weight) for weight in top.values),
        entropy=max(0.0, float(-torch.xlogy(weights_K, weights_K).sum())),  # a weight may round to just above 1
        first=float(weights_K[0]),
        previous=None if place is None else float(weights_K[place - 1]) if place > 0 else 0.0,
        distance=None if back_K is None else float((weights_K * back_K.to(weights_K)).sum()),
        sink=sink,
        error=abs(float(weights_K.sum()) + (sink or 0.0) - 1.0) if bool(visible_K.any()) else 0.0,
    )
