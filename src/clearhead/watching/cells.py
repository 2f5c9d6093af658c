"""Measures that find cells of the maps, or compare maps: tiles, largest weights, images, edges, agreement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from clearhead.watching.reducers import Extent, Reducer, Strip


class Cells(Reducer):
    """w_HQK for some rows and columns, the only ones swept."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self._rows, self._columns = rows, columns

    def start(self, extent: Extent) -> None:
        size = (each.stop - each.start for each in (self._rows, self._columns))
        self._found_HQK = extent.zeros(extent.heads, *size).cpu()

    def add(self, strip: Strip) -> None:
        rows, columns = (
            slice(each.start - first.start, each.stop - first.start)
            for each, first in ((strip.rows, self._rows), (strip.columns, self._columns))
        )
        self._found_HQK[strip.heads, rows, columns] = strip.weights_HQK.cpu()

    def done(self) -> Tensor:
        return self._found_HQK


class Largest(Reducer):
    """The ``n`` largest weights of each row in descending order, w_HQN, and their keys, ``keys_HQN``.

    If a query sees fewer than ``n`` keys, hidden places with weight 0 fill the rest.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def start(self, extent: Extent) -> None:
        self._places = extent.keys
        size = (extent.heads, extent.queries, self._n)
        self._weights_HQN, self.keys_HQN = extent.zeros(*size), extent.zeros(*size, dtype=torch.int64)

    def add(self, strip: Strip) -> None:
        found = torch.topk(strip.weights_HQK, min(self._n, strip.weights_HQK.shape[2]), dim=2)
        n = found.values.shape[2]
        self._weights_HQN[strip.heads, strip.rows, :n] = found.values
        self.keys_HQN[strip.heads, strip.rows, :n] = found.indices + strip.columns.start

    def done(self) -> Tensor:
        self.keys_HQN = self.keys_HQN.cpu()
        weights_HQN = self._weights_HQN.cpu()
        fewer_HQ = weights_HQN[:, :, -1] == 0
        if bool(fewer_HQ.any()):
            self.keys_HQN[fewer_HQ] = _filled(weights_HQN[fewer_HQ], self.keys_HQN[fewer_HQ], self._places)
        return weights_HQN


class Image(Reducer):
    """The maps shrunk to (height, width), each cell the largest or mean weight it covers; float32, never enlarged."""

    def __init__(self, height: int, width: int, pool: Literal["max", "mean"] = "max") -> None:
        self._size, self._pool = (height, width), pool

    def start(self, extent: Extent) -> None:
        Q, K = extent.queries, extent.keys
        height, width = min(self._size[0], Q), min(self._size[1], K)
        self._bins, self._bin_K = [row * height // Q for row in range(Q)], _bins(K, width, extent.sums_HQ.device)
        cells = torch.bincount(_bins(Q, height))[:, None] * torch.bincount(_bins(K, width))
        self._covered = cells.to(extent.sums_HQ.device)
        self._found_HYX = extent.zeros(extent.heads, height, width, dtype=torch.float32)

    def add(self, strip: Strip) -> None:
        largest = self._pool == "max"
        bins = self._bins[strip.rows]
        # Pool rows first, one run at a time: that is vectorised, and leaves few values to scatter by column.
        starts = [0, *(n for n in range(1, len(bins)) if bins[n] != bins[n - 1]), len(bins)]
        runs = [strip.weights_HQK[:, a:b] for a, b in pairwise(starts)]
        tall_HQK = torch.stack([run.amax(1) if largest else run.sum(1) for run in runs], dim=1).float()
        bin_HQK = self._bin_K[strip.columns].expand_as(tall_HQK)
        part_HYX = self._found_HYX[strip.heads, bins[0] : bins[-1] + 1]
        part_HYX.scatter_reduce_(2, bin_HQK, tall_HQK, "amax" if largest else "sum")

    def done(self) -> Tensor:
        return self._found_HYX if self._pool == "max" else self._found_HYX / self._covered


@dataclass(frozen=True)
class Edge:
    """A query, a key, and the weight between them, or the weight times the size of the key's value.

    query: its place; between two texts, its row
    """

    query: int
    key: int
    weight: float


class Edges(Reducer):
    """The ``n`` largest cells of each head's whole map: weights, or with ``sizes_HK`` weights times the keys' sizes.

    ``found`` has them in descending order, fewer where fewer are above 0; the result of the sweep is weights_HN, padded
    with 0. In each strip, only rows whose largest cell is among the n largest so far are looked at.
    """

    def __init__(self, n: int, sizes_HK: Tensor | None = None) -> None:
        self._n, self._sizes_HK = n, sizes_HK

    def start(self, extent: Extent) -> None:
        self._keys, self._first = extent.keys, extent.first_place or 0
        self._cells_HN = extent.zeros(extent.heads, self._n)
        self._places_HN = extent.zeros(extent.heads, self._n, dtype=torch.int64)  # row * keys + key
        self._sizes_HK = None if self._sizes_HK is None else self._sizes_HK.to(extent.sums_HQ)

    def add(self, strip: Strip) -> None:
        if self._sizes_HK is None:
            cells_HQK, largest_HQ = strip.exps_HQK, strip.largest_HQ / strip.totals_HQ
        else:
            sizes_H1K = self._sizes_HK[strip.heads, None, strip.columns]
            cells_HQK = torch.mul(strip.exps_HQK, sizes_H1K, out=strip.scratch_HQK)
            largest_HQ = cells_HQK.amax(2) / strip.totals_HQ
        wanted_HQ = largest_HQ > self._cells_HN[strip.heads, -1:]
        for head in wanted_HQ.any(1).nonzero()[:, 0].tolist():
            rows_R = wanted_HQ[head].nonzero()[:, 0]
            if len(rows_R) > self._n:
                rows_R = rows_R[largest_HQ[head, rows_R].topk(self._n).indices]
            cells_RK = cells_HQK[head, rows_R] / strip.totals_HQ[head, rows_R, None]
            new = cells_RK.flatten().topk(min(self._n, cells_RK.numel()))
            K = cells_RK.shape[1]
            places_N = (rows_R[new.indices // K] + strip.rows.start + self._first) * self._keys
            places_N += new.indices % K + strip.columns.start
            kept_N, at_N = self._cells_HN[strip.heads][head], self._places_HN[strip.heads][head]
            both = torch.cat([kept_N, new.values]).topk(self._n)
            at_N.copy_(torch.cat([at_N, places_N])[both.indices])
            kept_N.copy_(both.values)

    def done(self) -> Tensor:
        return self._cells_HN

    @property
    def found(self) -> list[list[Edge]]:
        """The edges of each head."""
        pairs = zip(self._cells_HN.tolist(), self._places_HN.tolist(), strict=True)
        return [
            [Edge(at // self._keys, at % self._keys, cell) for cell, at in zip(cells, places, strict=True) if cell > 0]
            for cells, places in pairs
        ]


class Agreement(Reducer):
    """a_HH = <W_g, W_h> / (|W_g| |W_h|), the cosine of two heads' maps: 1 if they are equal, 0 if they share no key.

    <W_g, W_h> = sum over i, j of w_g w_h, the agreement on positions of Li et al. 2018, eq. 7. 0 for an empty map.
    """

    needs = "heads"

    def start(self, extent: Extent) -> None:
        self._products_HH = extent.zeros(extent.heads, extent.heads, dtype=torch.float64)
        self._room, self._used = extent.zeros(0), 0
        self._kept: dict[int, Tensor] = {}  # weights_HQK of strips by their first row, until all heads are there

    def add(self, strip: Strip) -> None:
        H, (_, Q, K) = len(self._products_HH), strip.exps_HQK.shape
        if strip.heads.start == 0:
            self._kept[strip.rows.start] = self._new(H * Q * K).view(H, Q, K)
        kept_HQK = self._kept[strip.rows.start]
        torch.mul(strip.exps_HQK, strip.totals_HQ.reciprocal()[:, :, None], out=kept_HQK[strip.heads])
        if strip.heads.stop == H:
            # Row by row: one product of all rows at once would have too long a sum to be fast.
            weights_QHK = self._kept.pop(strip.rows.start).transpose(0, 1)
            self._products_HH += torch.bmm(weights_QHK, weights_QHK.transpose(1, 2)).double().sum(0)

    def _new(self, count: int) -> Tensor:
        """Memory for this many numbers in which nothing is kept."""
        first = self._used if self._kept else 0
        if first + count > len(self._room):
            self._room, first = self._room.new_empty(first + count), 0
        self._used = first + count
        return self._room[first : self._used]

    def done(self) -> Tensor:
        norms_H = self._products_HH.diagonal().sqrt()
        norms_HH = norms_H[:, None] * norms_H
        return (self._products_HH / norms_HH).masked_fill_(norms_HH == 0, 0.0)


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
