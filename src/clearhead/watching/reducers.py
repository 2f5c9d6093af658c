"""The interface of a measure: a reducer over the tiles of a sweep (engine.py). measures.py has the measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Extent:
    """What a sweep covers.

    name: what is measured, for errors
    first_place: key place of query row 0; None if queries and keys belong to two texts
    sunk_HQ: each row's weight on the attention sink, known for the swept rows after the first sweep
    """

    name: str
    heads: int
    queries: int
    keys: int
    first_place: int | None
    sunk_HQ: Tensor

    def zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Zeros in the weights' dtype, on the tiles' device."""
        return torch.zeros(shape, dtype=dtype or self.sunk_HQ.dtype, device=self.sunk_HQ.device)


@dataclass(slots=True)
class Tile:
    """Weights of some heads, rows and columns. Heads count from the sweep's first, rows and columns from the map's.

    In the first sweep, weights are relative to the largest in each row of the tile, and not yet normalised. Hidden keys
    have weight 0, and so have weights below e**-75 of the row's largest (e**-696 in float64).

    logs_HQK: natural logarithms of the weights; finite where the weight is 0
    scratch_HQK: scratch memory for measures
    sums_HQ: sums of the weights over the tile's columns
    """

    heads: slice
    rows: slice
    columns: slice
    weights_HQK: Tensor
    logs_HQK: Tensor
    scratch_HQK: Tensor
    sums_HQ: Tensor


@dataclass(frozen=True)
class Joined:
    """What the engine knows about some rows after the first sweep over their N tiles.

    shares_NHQ: total weight in each tile
    logs_NHQ: add this to a tile's ``logs_HQK`` to get the logarithms of the normalised weights
    sunk_HQ: weight on the attention sink
    """

    shares_NHQ: Tensor
    logs_NHQ: Tensor
    sunk_HQ: Tensor


class RowReducer(ABC):
    """A sum over the keys of each row, linear in the weights; takes one sweep."""

    found_HQ: Tensor

    def start(self, extent: Extent) -> None:
        """Allocates the result. Raises WatchError if the measure has no meaning here."""
        self.found_HQ = extent.zeros(extent.heads, extent.queries)

    @abstractmethod
    def part(self, tile: Tile) -> Tensor | None:
        """part_HQ: the sum over the columns of one tile in the first sweep; None means zeros."""

    def join(self, parts_NHQ: Tensor, joined: Joined) -> Tensor:
        """sum_HQ over all tiles, from the normalised parts."""
        return parts_NHQ.sum(0)

    def done(self) -> Tensor:
        """The result, heads first."""
        return self.found_HQ


class TileReducer(ABC):
    """Reads the normalised weights tile by tile, which takes a second sweep."""

    @abstractmethod
    def start(self, extent: Extent) -> None:
        """Allocates the result. Raises WatchError if the measure has no meaning here."""

    @abstractmethod
    def add(self, tile: Tile) -> None:
        """Adds a tile. Each comes once; tiles whose keys are all hidden from all rows are skipped."""

    @abstractmethod
    def done(self) -> Tensor:
        """The result, heads first."""


Reducer = RowReducer | TileReducer
