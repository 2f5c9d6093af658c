"""Measures of attention maps: reducers over the engine's tiles. One sweep computes any number of them.

w is the weight of the query at place i on the key at place j.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import index
from typing import Literal, SupportsIndex

import torch
from torch import Tensor

from clearhead.errors import WatchError, nearest
from clearhead.watching.reducers import Extent, Joined, Reducer, RowReducer, Tile, TileReducer


class Entropy(RowReducer):
    """H_HQ = -sum_j w ln w, in nats (Shannon 1948): 0 when one key takes all, ln n when n keys share evenly."""

    def part(self, tile: Tile) -> Tensor:
        return torch.mul(tile.weights_HQK, tile.logs_HQK, out=tile.scratch_HQK).sum(2)

    def join(self, parts_NHQ: Tensor, joined: Joined) -> Tensor:
        return 0.0 - (parts_NHQ + joined.shares_NHQ * joined.logs_NHQ).sum(0)  # not -0


class Distance(RowReducer):
    """d_HQ = sum_j w (i - j), in places: how far back a query attends on average; negative when it attends ahead.

    Mean attention distance (Dosovitskiy et al. 2021, D.8), with a sign.
    """

    def start(self, extent: Extent) -> None:
        super().start(extent)
        first = _first_place(extent)
        self._places_Q = torch.arange(first, first + extent.queries, device=extent.sunk_HQ.device)
        self._before: dict[int, Tensor] = {}  # by tile width: distance of each column from the last

    def part(self, tile: Tile) -> Tensor:
        # relative to the tile's last key, since small numbers lose less to rounding
        weights_HQK, last = tile.weights_HQK, tile.columns.stop - 1
        count = weights_HQK.shape[2]
        if count not in self._before:
            self._before[count] = torch.arange(count - 1, -1, -1).to(weights_HQK)
        from_last_Q = self._places_Q[tile.rows] - last
        return (weights_HQK @ self._before[count]).addcmul_(tile.sums_HQ, from_last_Q)


class _On(RowReducer):
    """w_HQ on one key per row; 0 where the key's place is negative."""

    def start(self, extent: Extent) -> None:
        super().start(extent)
        self._keys_Q = torch.tensor(self.keys(extent), device=extent.sunk_HQ.device)
        self._reach: dict[int, tuple[int, int]] = {}  # first and last key of a block of rows, by its first row

    @abstractmethod
    def keys(self, extent: Extent) -> Sequence[int]:
        """The key of each row."""

    def part(self, tile: Tile) -> Tensor | None:
        left, right, start = tile.columns.start, tile.columns.stop, tile.rows.start
        if start not in self._reach:
            low, high = self._keys_Q[tile.rows].aminmax()
            self._reach[start] = (int(low), int(high))
        if self._reach[start][1] < left or self._reach[start][0] >= right:
            return None
        at_Q = self._keys_Q[tile.rows] - left
        inside_Q = (at_Q >= 0) & (at_Q < right - left)
        at_HQ1 = at_Q.clamp(0, right - left - 1)[None, :, None].expand(tile.weights_HQK.shape[0], -1, 1)
        return tile.weights_HQK.gather(2, at_HQ1)[:, :, 0] * inside_Q


class First(_On):
    """w_HQ on the text's first place, which is an attention sink if large (Xiao et al. 2023)."""

    def keys(self, extent: Extent) -> Sequence[int]:
        return [0] * extent.queries


class Previous(_On):
    """w_HQ on the place before the query's own; 0 at place 0. Large in a previous-token head (Elhage et al. 2021)."""

    def keys(self, extent: Extent) -> Sequence[int]:
        first = _first_place(extent)
        return range(first - 1, first - 1 + extent.queries)


class Induction(_On):
    """w_HQ on the place after the last earlier occurrence of the query's own token; 0 if there is none.

    Large in an induction head (Olsson et al. 2022). ids: the token ids of all key places.
    """

    def __init__(self, ids: Iterable[SupportsIndex]) -> None:
        self._ids = [index(token) for token in ids]  # plain numbers: elements of a tensor are never equal as dict keys

    def keys(self, extent: Extent) -> Sequence[int]:
        first = _first_place(extent)
        if len(self._ids) != extent.keys:
            raise WatchError(f"{extent.name}: {len(self._ids)} token ids were given for {extent.keys} key places")
        last: dict[int, int] = {}
        after: list[int] = []
        for place, token in enumerate(self._ids):
            after.append(last.get(token, -2) + 1)
            last[token] = place
        return after[first : first + extent.queries]


class Sink(RowReducer):
    """w_HQ on the attention sink (``Score.sinks_H``), which is not a key: 1 minus the weight on all keys.

    0 in a head without a sink; 1 in a row that sees no key.
    """

    def part(self, tile: Tile) -> None:
        return None

    def join(self, parts_NHQ: Tensor, joined: Joined) -> Tensor:
        return joined.sunk_HQ


class Received(TileReducer):
    """r_HK = sum_i w: the weight each key receives from all queries."""

    def start(self, extent: Extent) -> None:
        self._found_HK = extent.zeros(extent.heads, extent.keys)

    def add(self, tile: Tile) -> None:
        self._found_HK[tile.heads, tile.columns] += tile.weights_HQK.sum(1)

    def done(self) -> Tensor:
        return self._found_HK


class RowError(TileReducer):
    """e_H: the largest distance of a row sum, sink included, from 1, over rows that see a key."""

    def start(self, extent: Extent) -> None:
        self._sums_HQ, self._sunk_HQ = torch.zeros_like(extent.sunk_HQ), extent.sunk_HQ

    def add(self, tile: Tile) -> None:
        self._sums_HQ[tile.heads, tile.rows] += tile.sums_HQ

    def done(self) -> Tensor:
        return torch.where(self._sums_HQ != 0, self._sums_HQ + self._sunk_HQ - 1, 0.0).abs().amax(1)


class Cells(TileReducer):
    """w_HQK for some rows and columns, the only ones swept."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self._rows, self._columns = rows, columns

    def start(self, extent: Extent) -> None:
        size = (each.stop - each.start for each in (self._rows, self._columns))
        self._found_HQK = extent.zeros(extent.heads, *size).cpu()

    def add(self, tile: Tile) -> None:
        rows, columns = (
            slice(each.start - first.start, each.stop - first.start)
            for each, first in ((tile.rows, self._rows), (tile.columns, self._columns))
        )
        self._found_HQK[tile.heads, rows, columns] = tile.weights_HQK.cpu()

    def done(self) -> Tensor:
        return self._found_HQK


class Largest(TileReducer):
    """The ``n`` largest weights of each row in descending order, w_HQN, and their keys, ``keys_HQN``.

    If a query sees fewer than ``n`` keys, hidden places with weight 0 fill the rest.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def start(self, extent: Extent) -> None:
        self._places = extent.keys
        size = (extent.heads, extent.queries, self._n)
        self._weights_HQN, self.keys_HQN = extent.zeros(*size), extent.zeros(*size, dtype=torch.int64)

    def add(self, tile: Tile) -> None:
        new = torch.topk(tile.weights_HQK, min(self._n, tile.weights_HQK.shape[2]), dim=2)
        weights_HQN, keys_HQN = self._weights_HQN[tile.heads, tile.rows], self.keys_HQN[tile.heads, tile.rows]
        both = torch.topk(torch.cat([weights_HQN, new.values], dim=2), self._n, dim=2)
        keys_HQM = torch.cat([keys_HQN, new.indices + tile.columns.start], dim=2)
        weights_HQN.copy_(both.values)
        keys_HQN.copy_(keys_HQM.gather(2, both.indices))

    def done(self) -> Tensor:
        self.keys_HQN = self.keys_HQN.cpu()
        weights_HQN = self._weights_HQN.cpu()
        fewer_HQ = weights_HQN[:, :, -1] == 0
        if bool(fewer_HQ.any()):
            self.keys_HQN[fewer_HQ] = _filled(weights_HQN[fewer_HQ], self.keys_HQN[fewer_HQ], self._places)
        return weights_HQN


class Image(TileReducer):
    """The maps shrunk to (height, width), each cell the largest or mean weight it covers; float32, never enlarged."""

    def __init__(self, height: int, width: int, pool: Literal["max", "mean"] = "max") -> None:
        self._size, self._pool = (height, width), pool

    def start(self, extent: Extent) -> None:
        Q, K = extent.queries, extent.keys
        height, width = min(self._size[0], Q), min(self._size[1], K)
        self._bins, self._bin_K = [row * height // Q for row in range(Q)], _bins(K, width, extent.sunk_HQ.device)
        cells = torch.bincount(_bins(Q, height))[:, None] * torch.bincount(_bins(K, width))
        self._covered = cells.to(extent.sunk_HQ.device)
        self._found_HYX = extent.zeros(extent.heads, height, width, dtype=torch.float32)

    def add(self, tile: Tile) -> None:
        largest = self._pool == "max"
        bins = self._bins[tile.rows]
        # Pool rows first, one run at a time: that is vectorised, and leaves few values to scatter by column.
        starts = [0, *(n for n in range(1, len(bins)) if bins[n] != bins[n - 1]), len(bins)]
        runs = [tile.weights_HQK[:, a:b] for a, b in pairwise(starts)]
        tall_HQK = torch.stack([run.amax(1) if largest else run.sum(1) for run in runs], dim=1).float()
        bin_HQK = self._bin_K[tile.columns].expand_as(tall_HQK)
        part_HYX = self._found_HYX[tile.heads, bins[0] : bins[-1] + 1]
        part_HYX.scatter_reduce_(2, bin_HQK, tall_HQK, "amax" if largest else "sum")

    def done(self) -> Tensor:
        return self._found_HYX if self._pool == "max" else self._found_HYX / self._covered


# Measures by name, built from the text's ids.
NAMES: dict[str, Callable[[Sequence[int]], Reducer]] = {
    "entropy": lambda ids: Entropy(),
    "first": lambda ids: First(),
    "previous": lambda ids: Previous(),
    "distance": lambda ids: Distance(),
    "induction": Induction,
    "sink": lambda ids: Sink(),
    "received": lambda ids: Received(),
}


def named(name: str, ids: Sequence[int]) -> Reducer:
    """The measure of that name. Raises WatchError, with the nearest name, if there is none."""
    if name not in NAMES:
        raise WatchError(f"measure: there is no {name!r}{nearest(name, NAMES)}")
    return NAMES[name](ids)


def _first_place(extent: Extent) -> int:
    if extent.first_place is None:
        raise WatchError(f"{extent.name}: queries and keys belong to two texts, so there is no distance between them")
    return extent.first_place


def _bins(places: int, bins: int, device: torch.device | None = None) -> Tensor:
    """The bin of each place."""
    return torch.arange(places, device=device) * bins // places


def _filled(weights_RN: Tensor, keys_RN: Tensor, places: int) -> Tensor:
    """Replaces the keys of weight 0 by unused places, from place 0 on."""
    R, N = keys_RN.shape
    seen_RK = torch.zeros(R, min(places, 2 * N), dtype=torch.bool)  # at least N of these are unused
    among_RN = (weights_RN > 0) & (keys_RN < seen_RK.shape[1])
    seen_RK[among_RN.nonzero()[:, 0], keys_RN[among_RN]] = True
    free_RN = seen_RK.int().argsort(dim=1, stable=True)[:, :N]
    count_R1 = (weights_RN > 0).sum(1, keepdim=True)
    return torch.where(weights_RN > 0, keys_RN, free_RN.gather(1, (torch.arange(N) - count_R1).clamp(min=0)))
