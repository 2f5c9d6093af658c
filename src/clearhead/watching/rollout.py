"""What a place reads through all layers: attention rollout and attention flow (Abnar and Zuidema 2020).

Both take a layer's map as the mean over its heads, half of it replaced by the residual connection: 0.5 A + 0.5 I.
Weight on a trained sink reads no token, so it is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clearhead.errors import MissingExtraError, WatchError
from clearhead.tap import Site
from clearhead.watching.cells import Cells
from clearhead.watching.engine import shape
from clearhead.watching.passes import Segment
from clearhead.watching.reducers import Extent, Reducer, Strip

Array = npt.NDArray[Any]

# Attention flow is a maximum flow for each token, over every edge of every layer: at most this many edges.
EDGES = 2**19

# A capacity of 1 as a whole number, for scipy's int32: capacities are rounded to 2**-29.
WHOLE = 2**29


class RecordedLayers(Protocol):
    """What rollout and flow need from the record of a text (``TextRecord``)."""

    def segments(self, site: Site) -> Sequence[Segment]: ...
    def seen(self) -> list[Site]: ...
    def heads(self, site: Site) -> int: ...
    def sweep(self, site: Site, *measures: Reducer) -> list[Tensor]: ...


class Weighted(Reducer):
    """r_HK = sum_i x_i w_ij: what each key receives if query i counts x_i."""

    def __init__(self, x_Q: Tensor) -> None:
        self._x_Q = x_Q

    def start(self, extent: Extent) -> None:
        self._x_Q = self._x_Q.to(extent.sums_HQ)
        self._found_HK = extent.zeros(extent.heads, extent.keys)

    def add(self, strip: Strip) -> None:
        shares_H1Q = (self._x_Q[strip.rows] / strip.totals_HQ)[:, None]
        self._found_HK[strip.heads, strip.columns] += torch.bmm(shares_H1Q, strip.exps_HQK)[:, 0]

    def done(self) -> Tensor:
        return self._found_HK


def rollout(record: RecordedLayers, place: int) -> Tensor:
    """r_LK, float64, L = layers + 1: row l has the share of each place's state before layer l in what ``place`` holds
    after the last layer. Row 0 is about the tokens themselves.

    A row of the product of the layers' 0.5 A + 0.5 I (Abnar and Zuidema 2020, eq. 1). It needs no such product: one
    sweep per layer carries the row down, at any length. Raises WatchError if the record does not hold a text from its
    first place to its last, one self-attention per layer.
    """
    sites = _layers(record, place)
    x_K = torch.zeros(shape(record.segments(sites[0]))[1], dtype=torch.float64)
    x_K[place] = 1.0
    rows = [x_K]
    for site in reversed(sites):
        (received_HK,) = record.sweep(site, Weighted(x_K))
        x_K = 0.5 * x_K + 0.5 * received_HK.double().mean(0)
        rows.append(x_K)
    return torch.stack(rows[::-1])


def flow(record: RecordedLayers, place: int) -> Tensor:
    """f_K, float64: the most that can flow from each token to ``place`` after the last layer, through edges of capacity
    0.5 A + 0.5 I (Abnar and Zuidema 2020, 2).

    A maximum flow per token, so texts must be short: raises WatchError for more than EDGES edges, layers x places^2,
    and as ``rollout`` does; MissingExtraError without scipy.
    """
    sites = _layers(record, place)
    places = shape(record.segments(sites[0]))[1]
    if len(sites) * places**2 > EDGES:
        most = int((EDGES / len(sites)) ** 0.5)
        raise WatchError(
            f"flow: {len(sites)} layers of {places} x {places} weights are {len(sites) * places**2:,} edges; at most "
            f"{EDGES:,} are computed, which are {most} places; give a shorter text, or take rollout, which has no limit"
        )
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow
    except ImportError:
        raise MissingExtraError("flow: it needs scipy: pip install 'clearhead[words]'; rollout does not") from None
    whole, nodes = slice(0, places), places * (len(sites) + 1)
    above, below, capacity = list[Array](), list[Array](), list[Array]()
    for layer, site in enumerate(sites):  # the places before layer l are the nodes from l * places on
        (weights_HQK,) = record.sweep(site, Cells(whole, whole))
        mixed_QK = 0.5 * weights_HQK.double().mean(0) + 0.5 * torch.eye(places, dtype=torch.float64)
        numbers_QK = np.rint(mixed_QK.numpy() * WHOLE).astype(np.int32)
        rows, columns = numbers_QK.nonzero()
        above.append(rows + (layer + 1) * places)
        below.append(columns + layer * places)
        capacity.append(numbers_QK[rows, columns])
    edges = (np.concatenate(capacity), (np.concatenate(above), np.concatenate(below)))
    graph = csr_array(edges, shape=(nodes, nodes), dtype=np.int32)
    source = len(sites) * places + place
    found = [maximum_flow(graph, source, token).flow_value / WHOLE for token in range(places)]
    return torch.tensor(found, dtype=torch.float64)


def _layers(record: RecordedLayers, place: int) -> list[Site]:
    """The sites in the order of their layers."""
    sites = record.seen()
    if len({site.layer for site in sites}) != len(sites) or any(site.kind != "self" for site in sites):
        raise WatchError(f"rollout: each layer must have one self-attention; the record holds {_named(sites)}")
    queries, keys = shape(record.segments(sites[0]))
    if queries != keys:
        raise WatchError(
            f"rollout: the record holds {queries} queries of {keys} places; watch the text from its first place"
        )
    if not 0 <= place < keys:
        raise WatchError(f"rollout: place {place} was asked for; the text has {keys}, counted from 0")
    return sites


def _named(sites: Sequence[Site]) -> str:
    return ", ".join(map(str, sites)) or "none"
