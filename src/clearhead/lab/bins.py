"""Values sorted into ranges that double: 1, 2 to 3, 4 to 7, ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The mean of the values whose number is in [low, high]."""

    low: int
    high: int
    count: int
    mean: float

    @property
    def label(self) -> str:
        """``4-7``; one number if the range has only one."""
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def binned(numbers: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> tuple[Bin, ...]:
    """The bins that have values, in order. Numbers are 1 or more."""
    return grouped(numbers, lambda rows: float(values[rows].mean()))


def grouped(numbers: npt.NDArray[np.int64], figure: Callable[[npt.NDArray[np.int64]], float]) -> tuple[Bin, ...]:
    """The bins that have numbers, each with the figure of its rows as its mean."""
    place = np.floor(np.log2(numbers)).astype(np.int64)
    rows = {int(each): np.flatnonzero(place == each) for each in np.unique(place)}
    return tuple(
        Bin(low=2**each, high=2 ** (each + 1) - 1, count=len(found), mean=figure(found)) for each, found in rows.items()
    )
