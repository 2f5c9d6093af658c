"""The measures of an atlas as grids of layers and heads, and how dark each cell is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching import Atlas

# Columns whose values lie between 0 and 1: they share one scale.
SHARES = (
    "largest",
    "first",
    "sink",
    "previous",
    "self",
    "induction",
    "duplicate",
    "received",
    "agreement",
    "attention",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadGrid:
    """One measure. values_LH: NaN where there is no such head, or it has no value; most: the head with the most."""

    column: str
    layers: list[str]
    values_LH: npt.NDArray[np.float64]
    most: str

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        known = self.values_LH[~np.isnan(self.values_LH)]
        return float(known.min()), float(known.max())

    @property
    def shades_LH(self) -> npt.NDArray[np.float64]:
        """How far along the colours: the root of a share, or evenly from the smallest value (or 0) to the largest."""
        if self.column in SHARES:
            return np.sqrt(np.clip(self.values_LH, 0.0, 1.0))
        low, high = self.span
        low = min(low, 0.0)
        return (self.values_LH - low) / max(high - low, 1e-12)


def in_order(sites: Iterable[Site]) -> list[Site]:
    """The sites without repetitions in the order of the pass, whatever the order of the rows."""
    return sorted(set(sites), key=lambda site: (site.stack == "decoder", site.layer, site.kind == "cross"))


def grids(atlas: Atlas) -> list[HeadGrid]:
    """A grid for each column. Raises WatchError if the atlas is empty."""
    if not atlas.rows or not atlas.columns:
        raise WatchError("atlas: it has no heads, so there is nothing to draw")
    names = {row.site: row.name.rpartition(".")[0] for row in atlas.rows}
    sites = in_order(names)
    heads = max(row.head for row in atlas.rows) + 1
    made: list[HeadGrid] = []
    for column in atlas.columns:
        values_LH = np.full((len(sites), heads), np.nan)
        for row in atlas.rows:
            value = row.values[column]
            if value is not None:
                values_LH[sites.index(row.site), row.head] = value
        most = atlas.by(column).rows[0].name
        made.append(HeadGrid(column=column, layers=[names[site] for site in sites], values_LH=values_LH, most=most))
    return made
