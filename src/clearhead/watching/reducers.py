"""The interface of a measure: a reducer over the strips of a sweep (engine.py). measures.py has the measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor

from clearhead.errors import WatchError

Found = TypeVar("Found")


@dataclass(frozen=True)
class Extent:
    """What a sweep covers.

    name: what is measured, for errors
    heads: number of heads, which strips count from 0
    first_place: key place of query row 0; None if queries and keys belong to two texts
    ahead: whether a query may see keys after its own place
    sums_HQ: sums of exp(logit - peak) over all keys (see Strip); complete when the sweep is done, as the next two
    totals_HQ: the same with the sink; 1 where there is neither
    sinks_HQ: exp(logit - peak) of the sink; 0 without one
    """

    name: str
    heads: int
    queries: int
    keys: int
    first_place: int | None
    ahead: bool
    sums_HQ: Tensor
    totals_HQ: Tensor
    sinks_HQ: Tensor

    def zeros(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Zeros in the weights' dtype, on the strips' device."""
        return torch.zeros(shape, dtype=dtype or self.sums_HQ.dtype, device=self.sums_HQ.device)

    @property
    def first(self) -> int:
        """The key place of query row 0. Raises WatchError if queries and keys belong to two texts."""
        if self.first_place is None:
            raise WatchError(f"{self.name}: queries and keys belong to two texts, so there is no distance between them")
        return self.first_place


@dataclass(frozen=True)
class Risen:
    """How the peaks of rows changed since the strips with their earlier keys.

    risen_HQ: the peak now minus the peak before
    scale_HQ: exp(-risen_HQ), the factor of all earlier exps_HQK
    sums_HQ: the earlier sums of exps_HQK, before that factor
    """

    risen_HQ: Tensor
    scale_HQ: Tensor
    sums_HQ: Tensor


class Strip:
    """Some heads and rows, with some or all of the keys that a row sees. Heads count from the sweep's first, rows and
    columns from the map's.

    exps_HQK: exp(logit - peak); 0 where hidden, and where below e**-75 (e**-696 in float64). The peak is the row's
        largest logit, or the sink's if that is larger; if a strip has some of the keys, the largest so far or a logit
        at most 30 below it
    sums_HQ: sums of exps_HQK
    risen: set if earlier strips had other keys of the same rows, and the peaks may have changed since
    logs_HQK: logit - peak; finite where the weight is 0
    peaks_HQ, most_HQ: the peaks; the largest logits if known
    sinks_H1: the heads' sinks
    totals_HQ: see the property; None if the strip has all keys
    buffer: gives memory of the strip's shape, by number
    """

    def __init__(
        self,
        heads: slice,
        rows: slice,
        columns: slice,
        *,
        exps_HQK: Tensor,
        logs_HQK: Tensor,
        sums_HQ: Tensor,
        risen: Risen | None,
        peaks_HQ: Tensor,
        most_HQ: Tensor | None,
        sinks_H1: Tensor | None,
        totals_HQ: Tensor | None,
        buffer: Callable[[int], Tensor],
    ) -> None:
        self.heads, self.rows, self.columns = heads, rows, columns
        self.exps_HQK, self.sums_HQ, self.risen = exps_HQK, sums_HQ, risen
        self._peaks_HQ, self._most_HQ, self._sinks_H1, self._totals_HQ = peaks_HQ, most_HQ, sinks_H1, totals_HQ
        self._logs_HQK, self._buffer = logs_HQK, buffer
        self._weights_HQK: Tensor | None = None
        self._nats_HQ: Tensor | None = None

    @property
    def nats_HQ(self) -> Tensor:
        """Sums of exps_HQK * (logit - peak); computed once."""
        if self._nats_HQ is None:
            # In the logits' memory, which nothing else reads: a third array would not fit in the cache.
            self._nats_HQ = self._logs_HQK.mul_(self.exps_HQK).sum(2)
        return self._nats_HQ

    @property
    def largest_HQ(self) -> Tensor:
        """The largest of exps_HQK in each row."""
        if self._most_HQ is None:
            return self.exps_HQK.amax(2)
        return torch.exp(self._most_HQ - self._peaks_HQ)

    @property
    def sinks_HQ(self) -> Tensor:
        """exp(logit - peak) of the sink; 0 without one."""
        if self._sinks_H1 is None:
            return torch.zeros_like(self.sums_HQ)
        return torch.exp(self._sinks_H1 - self._peaks_HQ)

    @property
    def totals_HQ(self) -> Tensor:
        """Sums of whole rows with the sink; 1 where there is neither. Only in strips of whole rows or some columns."""
        if self._totals_HQ is None:
            self._totals_HQ = totals(self.sums_HQ, self.sinks_HQ)
        return self._totals_HQ

    @property
    def weights_HQK(self) -> Tensor:
        """The weights, exps_HQK / totals_HQ; computed once."""
        if self._weights_HQK is None:
            out_HQK = self._buffer(0)
            self._weights_HQK = torch.mul(self.exps_HQK, self.totals_HQ.reciprocal()[:, :, None], out=out_HQK)
        return self._weights_HQK

    @property
    def scratch_HQK(self) -> Tensor:
        """Memory of the strip's shape that a measure may use while it adds the strip."""
        return self._buffer(1)


def totals(sums_HQ: Tensor, sinks_HQ: Tensor) -> Tensor:
    """What exps are divided by: their sums and the sink's; 1 where there is neither."""
    totals_HQ = sums_HQ + sinks_HQ
    return totals_HQ.masked_fill_(totals_HQ == 0.0, 1.0)


# Strips of other rows that come between those of two heads: a block has at most this many (blocks.py: ROWS / LEAST).
BETWEEN = 8


class PerStrip(Generic[Found]):
    """What ``find`` gives for a strip's rows and columns, computed once for all heads. Keeps BETWEEN sets of rows."""

    def __init__(self, find: Callable[[Strip], Found]) -> None:
        self._find = find
        self._found: dict[tuple[int, int], dict[tuple[int, int], Found]] = {}  # by rows, then by columns

    def __getitem__(self, strip: Strip) -> Found:
        rows, columns = (strip.rows.start, strip.rows.stop), (strip.columns.start, strip.columns.stop)
        if rows not in self._found:
            if len(self._found) == BETWEEN:
                del self._found[next(iter(self._found))]
            self._found[rows] = {}
        found = self._found[rows]
        if columns not in found:
            found[columns] = self._find(strip)
        return found[columns]


class Reducer(ABC):
    """A measure. A sweep starts it, adds each strip once, and asks for the result.

    needs: what a strip must have. ``row``: whole rows. ``heads``: whole rows, all heads of some rows before other rows.
        ``nothing``: it may have any keys of its rows, in their order
    """

    needs: ClassVar[Literal["row", "heads", "nothing"]] = "row"

    @abstractmethod
    def start(self, extent: Extent) -> None:
        """Allocates the result. Raises WatchError if the measure has no meaning here."""

    @abstractmethod
    def add(self, strip: Strip) -> None:
        """Adds a strip."""

    @abstractmethod
    def done(self) -> Tensor:
        """The result, heads first."""


class RowReducer(Reducer):
    """A number for each row, (heads, queries), that is linear in the weights.

    Strips are added as they are: dividing by the totals once, at the end, saves an operation for each.
    """

    needs = "nothing"
    found_HQ: Tensor

    def start(self, extent: Extent) -> None:
        self.extent = extent
        self.found_HQ = extent.zeros(extent.heads, extent.queries)

    def add(self, strip: Strip) -> None:
        found_HQ, now_HQ = self.found_HQ[strip.heads, strip.rows], self.row(strip)
        if strip.risen is not None:
            self.rise(found_HQ, strip.risen)
        if now_HQ is not None:
            self.join(found_HQ, now_HQ)

    @abstractmethod
    def row(self, strip: Strip) -> Tensor | None:
        """The strip's rows, from ``exps_HQK`` in place of the weights; None if all are 0."""

    def rise(self, found_HQ: Tensor, risen: Risen) -> None:
        """Rescales what earlier strips gave, from their peaks to this strip's."""
        found_HQ.mul_(risen.scale_HQ)

    def join(self, found_HQ: Tensor, now_HQ: Tensor) -> None:
        """Adds this strip's numbers to those of the earlier ones."""
        found_HQ.add_(now_HQ)

    def done(self) -> Tensor:
        return self.found_HQ / self.extent.totals_HQ
