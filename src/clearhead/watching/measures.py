"""Measures of attention maps: reducers over the engine's strips. One sweep computes any number of them.

w is the weight of the query at place i on the key at place j.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import NamedTuple, SupportsIndex

import torch
from torch import Tensor

from clearhead.errors import WatchError, nearest
from clearhead.watching.reducers import Extent, PerStrip, Reducer, Risen, RowReducer, Strip

# The share of a row's weight within its reach, and the keys that Reach sums at once, before it looks into one block.
HELD, BLOCK = 0.9, 128


class Entropy(RowReducer):
    """H_HQ = -sum_j w ln w, in nats (Shannon 1948): 0 when one key takes all, ln n when n keys share evenly."""

    def row(self, strip: Strip) -> Tensor:
        return strip.nats_HQ

    def rise(self, found_HQ: Tensor, risen: Risen) -> None:
        found_HQ.addcmul_(risen.risen_HQ, risen.sums_HQ, value=-1).mul_(risen.scale_HQ)

    def done(self) -> Tensor:
        sums_HQ, totals_HQ = self.extent.sums_HQ, self.extent.totals_HQ
        return (totals_HQ.log() * sums_HQ - self.found_HQ) / totals_HQ


class Distance(RowReducer):
    """d_HQ = sum_j w (i - j), in places: how far back a query attends on average; negative when it attends ahead.

    Mean attention distance (Dosovitskiy et al. 2021, D.8), with a sign.
    """

    def start(self, extent: Extent) -> None:
        super().start(extent)
        self._middles_Q = extent.zeros(extent.queries)
        self._places_K = torch.arange(extent.keys).to(self._middles_Q)
        self._first = extent.first

    def row(self, strip: Strip) -> Tensor:
        # Relative to the middle of the rows: near keys have small numbers, which lose less to rounding.
        middle = self._first + (strip.rows.start + strip.rows.stop) // 2
        self._middles_Q[strip.rows] = middle
        return strip.exps_HQK @ (middle - self._places_K[strip.columns])

    def done(self) -> Tensor:
        places_Q = torch.arange(self._first, self._first + self.extent.queries).to(self._middles_Q)
        return (self.found_HQ + self.extent.sums_HQ * (places_Q - self._middles_Q)) / self.extent.totals_HQ


class Reach(RowReducer):
    """r_HQ: the smallest distance r, in places, with sum_{|i - j| <= r} w >= 0.9 sum_j w.

    The distance that holds 90 % of a row's weight; where some is on the sink, of the rest. 0 in a row that sees no key.
    """

    needs = "row"

    def start(self, extent: Extent) -> None:
        super().start(extent)
        self._places_Q = torch.arange(extent.queries, device=extent.sums_HQ.device) + extent.first

    def row(self, strip: Strip) -> Tensor:
        own_Q = self._places_Q[strip.rows] - strip.columns.start
        found_HQ = (self._both if self.extent.ahead else self._back)(strip.exps_HQK, own_Q, strip.sums_HQ)
        return found_HQ.to(self.found_HQ.dtype)

    def done(self) -> Tensor:
        return self.found_HQ

    @staticmethod
    def _back(exps_HQK: Tensor, own_Q: Tensor, sums_HQ: Tensor) -> Tensor:
        """For queries that see no key after their own place: counts the first keys that hold no more than 10 %.

        Sums blocks of keys, and looks into one of them.
        """
        K = exps_HQK.shape[2]
        whole = K // BLOCK * BLOCK
        sums_HQN = exps_HQK[:, :, :whole].unflatten(2, (-1, BLOCK)).sum(3)
        upto_HQN = sums_HQN.cumsum(2)
        left_HQ1 = (sums_HQ * (1 - HELD))[:, :, None]
        block_HQ1 = torch.searchsorted(upto_HQN, left_HQ1, right=True)
        upto_HQN = torch.nn.functional.pad(upto_HQN, (1, 0))
        keys_HQC = block_HQ1 * BLOCK + torch.arange(BLOCK, device=exps_HQK.device)
        inside_HQC = exps_HQK.gather(2, keys_HQC.clamp(max=K - 1))
        inside_HQC = inside_HQC.masked_fill_(keys_HQC >= K, math.inf).cumsum(2)  # nothing follows the last key
        counted_HQ1 = torch.searchsorted(inside_HQC, left_HQ1 - upto_HQN.gather(2, block_HQ1), right=True)
        return (own_Q - (block_HQ1 * BLOCK + counted_HQ1)[:, :, 0]).clamp_(min=0)

    @staticmethod
    def _both(exps_HQK: Tensor, own_Q: Tensor, sums_HQ: Tensor) -> Tensor:
        """For queries that see both sides: bisects the distance."""
        K, wanted_HQ = exps_HQK.shape[2], sums_HQ * HELD
        upto_HQK = torch.nn.functional.pad(exps_HQK.cumsum(2), (1, 0))
        low_HQ = torch.full_like(wanted_HQ, -1, dtype=torch.int64)
        high_HQ = torch.maximum(own_Q, K - 1 - own_Q).expand_as(low_HQ).clone()
        for _ in range(max(1, int(high_HQ.max()) + 1).bit_length()):
            middle_HQ = (low_HQ + high_HQ).div(2, rounding_mode="floor")
            stop_HQ1, start_HQ1 = ((own_Q + each).clamp(0, K)[..., None] for each in (middle_HQ + 1, -middle_HQ))
            inside_HQ = (upto_HQK.gather(2, stop_HQ1) - upto_HQK.gather(2, start_HQ1))[:, :, 0]
            enough_HQ = (inside_HQ >= wanted_HQ) & (middle_HQ >= 0)
            high_HQ, low_HQ = torch.where(enough_HQ, middle_HQ, high_HQ), torch.where(enough_HQ, low_HQ, middle_HQ)
        return high_HQ


class _On(RowReducer):
    """w_HQ on one key per row; 0 where the key's place is negative."""

    def start(self, extent: Extent) -> None:
        super().start(extent)
        self._keys_Q = torch.tensor(self.keys(extent), device=extent.sums_HQ.device)
        self._asked = PerStrip(self._ask)

    @abstractmethod
    def keys(self, extent: Extent) -> Sequence[int]:
        """The key of each row."""

    def row(self, strip: Strip) -> Tensor | None:
        at_1Q1, inside_Q = self._asked[strip]
        if at_1Q1 is None:
            return None
        found_HQ = strip.exps_HQK.gather(2, at_1Q1.expand(len(strip.exps_HQK), -1, 1))[:, :, 0]
        return found_HQ if inside_Q is None else found_HQ * inside_Q

    def _ask(self, strip: Strip) -> tuple[Tensor | None, Tensor | None]:
        """The column of each row's key (None if the strip has none of them), and which keys it has (None if all)."""
        count = strip.columns.stop - strip.columns.start
        at_Q = self._keys_Q[strip.rows] - strip.columns.start
        inside_Q = (at_Q >= 0) & (at_Q < count)
        at_1Q1 = at_Q.clamp(0, count - 1)[None, :, None] if bool(inside_Q.any()) else None
        return at_1Q1, None if bool(inside_Q.all()) else inside_Q


class First(_On):
    """w_HQ on the text's first place, which is an attention sink if large (Xiao et al. 2023)."""

    def keys(self, extent: Extent) -> Sequence[int]:
        return [0] * extent.queries


class Previous(_On):
    """w_HQ on the place before the query's own; 0 at place 0. Large in a previous-token head (Elhage et al. 2021)."""

    def keys(self, extent: Extent) -> Sequence[int]:
        return range(extent.first - 1, extent.first - 1 + extent.queries)


class Own(_On):
    """w_HQ on the query's own place, the diagonal of the map (Kovaleva et al. 2019, 4.1)."""

    def keys(self, extent: Extent) -> Sequence[int]:
        return range(extent.first, extent.first + extent.queries)


class Induction(_On):
    """w_HQ on the place after the last earlier occurrence of the query's own token; 0 if there is none.

    Large in an induction head (Olsson et al. 2022). ids: the token ids of all key places.
    """

    def __init__(self, ids: Iterable[SupportsIndex]) -> None:
        self._ids = [index(token) for token in ids]  # plain numbers: elements of a tensor are never equal as dict keys

    def keys(self, extent: Extent) -> Sequence[int]:
        first = extent.first
        _check_ids(self._ids, extent)
        last: dict[int, int] = {}
        after: list[int] = []
        for place, token in enumerate(self._ids):
            after.append(last.get(token, -2) + 1)
            last[token] = place
        return after[first : first + extent.queries]


class Duplicate(RowReducer):
    """d_HQ = sum of w over the earlier places that hold the query's own token; 0 if there are none.

    Large in a duplicate-token head (Wang et al. 2023, 3.1). ids: the token ids of all key places.
    """

    def __init__(self, ids: Iterable[SupportsIndex]) -> None:
        self._ids = [index(token) for token in ids]

    def start(self, extent: Extent) -> None:
        super().start(extent)
        self._first = extent.first
        _check_ids(self._ids, extent)
        self._device = extent.sums_HQ.device
        # Places in the order of their tokens: the earlier copies of a place's token stand right before it.
        ids_K = torch.tensor(self._ids)
        self._order_K = ids_K.argsort(stable=True)
        sorted_K = ids_K[self._order_K]
        self._rank_K = torch.empty_like(self._order_K)
        self._rank_K[self._order_K] = torch.arange(len(ids_K))
        self._begins_K = torch.searchsorted(sorted_K, ids_K)  # rank of the first copy of each place's token
        self._pairs = PerStrip(self._find)

    def row(self, strip: Strip) -> Tensor:
        H, Q, K = strip.exps_HQK.shape
        rows_P, cells_P = self._pairs[strip]
        found_HQ = torch.zeros_like(strip.sums_HQ)
        found_HQ.index_add_(1, rows_P, strip.exps_HQK.view(H, Q * K).index_select(1, cells_P))
        return found_HQ

    def _find(self, strip: Strip) -> tuple[Tensor, Tensor]:
        """The strip's row and cell, row * K + column, of each pair of a query and an earlier copy of its token."""
        places_Q = torch.arange(strip.rows.start, strip.rows.stop) + self._first
        begins_Q = self._begins_K[places_Q]
        counts_Q = self._rank_K[places_Q] - begins_Q
        rows_P = torch.arange(len(places_Q)).repeat_interleave(counts_Q)
        before_Q = counts_Q.cumsum(0) - counts_Q
        nth_P = torch.arange(len(rows_P)) - before_Q[rows_P]
        columns_P = self._order_K[begins_Q[rows_P] + nth_P] - strip.columns.start
        K = strip.columns.stop - strip.columns.start
        inside_P = (columns_P >= 0) & (columns_P < K)
        rows_P, columns_P = rows_P[inside_P], columns_P[inside_P]
        return rows_P.to(self._device), (rows_P * K + columns_P).to(self._device)


class Top(RowReducer):
    """m_HQ = max_j w: the largest weight of each row on a key; 0 in a row that sees none."""

    def row(self, strip: Strip) -> Tensor:
        return strip.largest_HQ

    def join(self, found_HQ: Tensor, now_HQ: Tensor) -> None:
        torch.maximum(found_HQ, now_HQ, out=found_HQ)


class Moved(RowReducer):
    """m_HQ = sum_j ||w v_j W_O||: the total size of what a query takes from its keys (Kobayashi et al. 2020, eq. 7).

    Each key counts by its weight times the norm of its value, projected to the residual stream. sizes_HK: those norms.
    """

    def __init__(self, sizes_HK: Tensor) -> None:
        self._sizes_HK = sizes_HK

    def start(self, extent: Extent) -> None:
        super().start(extent)
        if self._sizes_HK.shape != (extent.heads, extent.keys):
            raise WatchError(
                f"{extent.name}: sizes of {tuple(self._sizes_HK.shape)} heads and keys were given; there are "
                f"{extent.heads} and {extent.keys}"
            )
        self._sizes_HK = self._sizes_HK.to(extent.sums_HQ)

    def row(self, strip: Strip) -> Tensor:
        sizes_HK1 = self._sizes_HK[strip.heads, strip.columns, None]
        return torch.bmm(strip.exps_HQK, sizes_HK1)[:, :, 0]


class Sink(Reducer):
    """w_HQ on the attention sink (``Score.sinks_H``), which is not a key: 1 minus the weight on all keys.

    0 in a head without a sink; 1 in a row that sees no key.
    """

    needs = "nothing"

    def start(self, extent: Extent) -> None:
        self._extent = extent

    def add(self, strip: Strip) -> None:
        """Takes nothing from a strip: the extent has the sinks."""

    def done(self) -> Tensor:
        return self._extent.sinks_HQ / self._extent.totals_HQ


class Received(Reducer):
    """r_HK = sum_i w: the weight each key receives from all queries."""

    def start(self, extent: Extent) -> None:
        self._found_HK = extent.zeros(extent.heads, extent.keys)

    def add(self, strip: Strip) -> None:
        shares_H1Q = strip.totals_HQ.reciprocal()[:, None]
        self._found_HK[strip.heads, strip.columns] += torch.bmm(shares_H1Q, strip.exps_HQK)[:, 0]

    def done(self) -> Tensor:
        return self._found_HK


class RowError(Reducer):
    """e_H: the largest distance of a row sum, sink included, from 1, over rows that see a key."""

    def start(self, extent: Extent) -> None:
        self._found_H = extent.zeros(extent.heads)

    def add(self, strip: Strip) -> None:
        sums_HQ = strip.weights_HQK.sum(2)
        error_HQ = torch.where(sums_HQ != 0, sums_HQ + strip.sinks_HQ / strip.totals_HQ - 1, 0.0).abs()
        self._found_H[strip.heads] = torch.maximum(self._found_H[strip.heads], error_HQ.amax(1))

    def done(self) -> Tensor:
        return self._found_H


class Given(NamedTuple):
    """What measures by name are made from.

    ids: the text's token ids
    sizes: gives sizes_HK, the norms of the projected values
    """

    ids: Sequence[int]
    sizes: Callable[[], Tensor]


# Measures by name. All but the last give one number per query, (H, Q).
NAMES: dict[str, Callable[[Given], Reducer]] = {
    "entropy": lambda given: Entropy(),
    "largest": lambda given: Top(),
    "first": lambda given: First(),
    "sink": lambda given: Sink(),
    "previous": lambda given: Previous(),
    "self": lambda given: Own(),
    "induction": lambda given: Induction(given.ids),
    "duplicate": lambda given: Duplicate(given.ids),
    "distance": lambda given: Distance(),
    "reach": lambda given: Reach(),
    "moved": lambda given: Moved(given.sizes()),
    "received": lambda given: Received(),
}


def named(name: str, given: Given) -> Reducer:
    """The measure of that name. Raises WatchError, with the nearest name, if there is none."""
    if name not in NAMES:
        raise WatchError(f"measure: there is no {name!r}{nearest(name, NAMES)}")
    return NAMES[name](given)


def _check_ids(ids: Sequence[int], extent: Extent) -> None:
    if not ids:
        raise WatchError(
            f"{extent.name}: this measure compares tokens, and the record knows none of its text; take "
            "clearhead.observe(model, text), or clearhead.observe_ids(model, ids)"
        )
    if len(ids) != extent.keys:
        raise WatchError(f"{extent.name}: {len(ids)} token ids were given for {extent.keys} key places")
