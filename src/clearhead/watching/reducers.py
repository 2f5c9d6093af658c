"""What a measure is: a reducer over the tiles of a sweep. The engine makes the tiles; measures.py has the measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Extent:
    """What a sweep covers.

    name: what is measured, for errors
    first_place: key place of query row 0; None where queries and keys are of two texts
    sunk_HQ: what of each row lies on the attention sink; known after the first sweep, of the rows that are swept
    """

    name: str
    heads: int
    queries: int
    keys: int
    first_place: int | None
    sunk_HQ: Tensor

    def zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Zeros in the weights' dtype, where the tiles are."""
        return torch.zeros(shape, dtype=dtype or self.sunk_HQ.dtype, device=self.sunk_HQ.device)


@dataclass(slots=True)
class Tile:
    """Weights of some heads, rows and columns, which count from the sweep's first head and the map's first places.

    In the first sweep a row's weights stand to the largest of the tile's, which is 1, and have yet to be scaled. Hidden
    keys weigh 0; what is below e**-75 of a row's largest weight counts as 0 too (e**-696 in float64).

    logs_HQK: natural logarithms of the weights; finite where those are 0
    scratch_HQK: room for what a measure makes of them
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
    """What the engine knows of some rows after the first sweep over all N tiles of them.

    shares_NHQ: weight of every tile
    logs_NHQ: what to add to a tile's ``logs_HQK`` to have those of the weights themselves
    sunk_HQ: what lies on the attention sink
    """

    shares_NHQ: Tensor
    logs_NHQ: Tensor
    sunk_HQ: Tensor


class RowReducer(ABC):
    """A sum over the keys of each row, linear in the weights; it takes one sweep."""

    found_HQ: Tensor

    def start(self, extent: Extent) -> None:
        """Makes room for the result. Raises WatchError where it has no meaning."""
        self.found_HQ = extent.zeros(extent.heads, extent.queries)

    @abstractmethod
    def part(self, tile: Tile) -> Tensor | None:
        """part_HQ: the sum over the columns of a tile of the first sweep; None for zeros."""

    def join(self, parts_NHQ: Tensor, joined: Joined) -> Tensor:
        """sum_HQ over all tiles, from the parts scaled to the whole row."""
        return parts_NHQ.sum(0)

    def done(self) -> Tensor:
        """The result, heads first."""
        return self.found_HQ


class TileReducer(ABC):
    """What is made of the finished weights, tile by tile; it takes a second sweep."""

    @abstractmethod
    def start(self, extent: Extent) -> None:
        """Makes room for the result. Raises WatchError where it has no meaning."""

    @abstractmethod
    def add(self, tile: Tile) -> None:
        """Takes up a tile. No tile comes twice; where all keys are hidden from all rows, none comes."""

    @abstractmethod
    def done(self) -> Tensor:
        """The result, heads first."""


Reducer = RowReducer | TileReducer
