"""Masks: which keys a query sees. They are immutable values, combined with ``&``.

Each part states its rule once, elementwise over (batch, head, query place, key place). Dense tiles, the kernels'
causal flag and FlexAttention's block mask all derive from it. A mask copies the tensors it is made from, so writing to
them later has no effect.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from operator import index
from typing import Protocol, SupportsIndex, TypeVar, cast

import torch
from torch import Tensor

from clearhead.errors import RequestError, shown

T = TypeVar("T")


class Part(Protocol):
    """One condition; a key is visible where every part of the mask holds."""

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """Bool tensor, broadcast from batch, head, query-place and key-place indices."""
        ...

    def reads(self) -> str:
        """Which of the axes B, H, Q and K the rule depends on."""
        ...

    def hides_nothing(self, queries: int, keys: int) -> bool:
        """True when the part is known to hide no key from the last ``queries`` of ``keys`` places."""
        ...

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        """Why this part does not fit such a request, or None."""
        ...


@dataclass(frozen=True)
class Causal:
    """Keys at or before the query's own place."""

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return k <= q

    def reads(self) -> str:
        return "QK"

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return queries == 1

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        return None


@dataclass(frozen=True)
class Window:
    """The last ``size`` keys up to and including the query's own place; later keys are not hidden."""

    size: int

    def __post_init__(self) -> None:
        _whole("window", self.size)

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return k > q - self.size

    def reads(self) -> str:
        return "QK"

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return self.size >= keys

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        return None if self.size >= 1 else f"the window is {self.size} keys; it must be at least 1"


@dataclass(frozen=True)
class Band:
    """Keys less than ``size`` places from the query, on either side: 2 size - 1 in all."""

    size: int

    def __post_init__(self) -> None:
        _whole("band", self.size)

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k - q).abs() < self.size

    def reads(self) -> str:
        return "QK"

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return self.size >= keys

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        return None if self.size >= 1 else f"the band is {self.size} keys; it must be at least 1"


@dataclass(frozen=True, eq=False)
class Padding:
    """Keys from ``start_B`` (inclusive) up to ``stop_B`` (exclusive) are text; the rest is padding."""

    start_B: Tensor
    stop_B: Tensor

    def __post_init__(self) -> None:
        _counts("padding", self.start_B)
        _counts("padding", self.stop_B)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of each batch row's text."""
        return tuple(zip(self.start_B.tolist(), self.stop_B.tolist(), strict=True))

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k >= self.start_B[b]) & (k < self.stop_B[b])

    def reads(self) -> str:
        return "BK"

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return False

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        if not self.start_B.shape == self.stop_B.shape == (batch,):
            shapes = f"{tuple(self.start_B.shape)} and {tuple(self.stop_B.shape)}"
            return f"padding has starts and stops of shape {shapes}; both must be ({batch},), one per batch row"
        return _elsewhere("padding is", self.stop_B, device)


@dataclass(frozen=True, eq=False)
class Documents:
    """Keys of the query's own document; ``ids_BK`` gives each key place its document's number."""

    ids_BK: Tensor

    def __post_init__(self) -> None:
        _counts("documents", self.ids_BK)

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self.ids_BK[b, q] == self.ids_BK[b, k]

    def reads(self) -> str:
        return "BQK"

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return False

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        if self.ids_BK.shape != (batch, keys):
            return (
                f"document numbers have shape {tuple(self.ids_BK.shape)}; they must be ({batch}, {keys}), one per key"
            )
        return _elsewhere("document numbers are", self.ids_BK, device)


@dataclass(frozen=True)
class Knocked:
    """Hides single (query place, key place) pairs, in every head or in one.

    starts: the cell of place 0 in each batch row, None for a row where nothing is hidden; (): 0 in every row. With
        starts, the pairs may be between two texts: query row i of Q is at place K - Q + i, which may be below 0
    """

    pairs: tuple[tuple[int, int], ...]
    head: int | None = None
    starts: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        for number in (*(place for pair in self.pairs for place in pair), *(() if self.head is None else (self.head,))):
            _whole("knockout", number)

    def sees(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        if self.starts:
            # where nothing is hidden, a start that no place reaches
            start_B = torch.tensor([2**62 if start is None else start for start in self.starts], device=b.device)
            q, k = q - start_B[b], k - start_B[b]
        seen = ~functools.reduce(operator.or_, ((q == query) & (k == key) for query, key in self.pairs))
        return seen if self.head is None else seen | (h != self.head)

    def reads(self) -> str:
        return ("B" if self.starts else "") + ("QK" if self.head is None else "HQK")

    def hides_nothing(self, queries: int, keys: int) -> bool:
        return not any(
            keys - queries <= query + start < keys and key + start < keys
            for query, key in self.pairs
            for start in self.starts or (0,)
            if start is not None
        )

    def misfit(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        if any(key < 0 or (query < 0 and not self.starts) for query, key in self.pairs):
            return f"knocked-out pairs are {self.pairs}; places count from 0"
        if self.head is not None and not 0 <= self.head < heads:
            return f"knock-out in head {self.head}; there are {heads} heads, counted from 0"
        if self.starts and len(self.starts) != batch:
            return f"a knock-out for {len(self.starts)} batch rows; there are {batch}"
        return None


@dataclass(frozen=True)
class Mask:
    """The keys visible to each query: those where every part holds. ``Mask()`` shows all keys."""

    parts: tuple[Part, ...] = ()
    _kept: dict[str, tuple[object, object]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __and__(self, other: Mask) -> Mask:
        """Keys visible under both."""
        return Mask(self.parts + tuple(part for part in other.parts if part not in self.parts))

    def needed(self, queries: int, keys: int) -> Mask:
        """This mask without the parts that hide nothing from the last ``queries`` of ``keys`` places."""
        kept = tuple(part for part in self.parts if not part.hides_nothing(queries, keys))
        return self if len(kept) == len(self.parts) else Mask(kept)

    def reads(self, axis: str) -> bool:
        """True when visibility depends on this axis: "B", "H", "Q" or "K"."""
        return any(axis in part.reads() for part in self.parts)

    def check(self, batch: int, heads: int, keys: int, device: torch.device) -> str | None:
        """The first reason why this mask does not fit such a request, or None."""
        return next((why for part in self.parts if (why := part.misfit(batch, heads, keys, device))), None)

    def spans(self, batch: int, keys: int) -> tuple[tuple[int, int], ...]:
        """The cells (start, stop) of each batch row's text; (0, keys) without padding."""
        found = [(0, keys)] * batch
        for part in self.parts:
            if isinstance(part, Padding):
                both = zip(found, part.spans, strict=True)
                found = [(min(max(start, a), keys), min(stop, b)) for (start, stop), (a, b) in both]
        return tuple((start, max(start, stop)) for start, stop in found)

    def visible(self, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """Bool tensor broadcast from index tensors: batch, head, query place and key place."""
        if not self.parts:
            return torch.ones_like(q == k)
        return functools.reduce(operator.and_, (part.sees(b, h, q, k) for part in self.parts))

    def tile(self, rows: slice, *, batch: int, heads: int, queries: int, keys: int, device: torch.device) -> Tensor:
        """visible_BHQK for query rows ``rows`` and all keys; axes that nothing depends on have size 1.

        Query row i sits at key place ``keys - queries + i``.
        """
        b = torch.arange(batch, device=device).view(-1, 1, 1, 1)
        h = torch.arange(heads, device=device).view(1, -1, 1, 1)
        q = torch.arange(rows.start, rows.stop, device=device).view(1, 1, -1, 1) + (keys - queries)
        return self.visible(b, h, q, torch.arange(keys, device=device).view(1, 1, 1, -1))

    def rendered(self, key: object, render: Callable[[], T], kind: str = "array") -> T:
        """Caches the last ``render()`` of each kind by its key, since every layer asks for the same rendering.

        The key must hold everything ``render`` depends on besides the mask. Renders outside inference mode, so that
        training can use a rendering made while generating. Under torch.compile nothing is cached: the compiler removes
        the repetition itself.
        """
        if torch.compiler.is_compiling():
            return render()
        last = self._kept.get(kind)  # read once: another thread may replace it at any moment
        if last is None or last[0] != key:
            with torch.inference_mode(mode=False):
                last = (key, render())
            self._kept[kind] = last
        return cast(T, last[1])


def _whole(what: str, number: object) -> int:
    """The number as an int. Raises RequestError if it is not a whole number, rather than rounding it silently."""
    try:
        return index(cast(SupportsIndex, number))
    except TypeError:
        raise RequestError(f"{what}: {shown(number)} was given; places and sizes are whole numbers") from None


def _counts(what: str, numbers: object) -> None:
    """Raises RequestError if ``numbers`` is not an integer tensor."""
    if not isinstance(numbers, Tensor):
        raise RequestError(f"{what}: {shown(numbers)} was given; it takes a tensor of whole numbers")
    if numbers.dtype == torch.bool or numbers.is_floating_point() or numbers.is_complex():
        raise RequestError(f"{what}: a tensor of {numbers.dtype} was given; places and numbers are whole: int64")


def _elsewhere(what: str, tensor: Tensor, device: torch.device) -> str | None:
    return None if tensor.device == device else f"{what} on {tensor.device}, q on {device}; the device must be the same"


FULL = Mask()
CAUSAL = Mask((Causal(),))


def causal() -> Mask:
    """Each query sees its own place and those before it (Vaswani et al. 2017, 3.2.3)."""
    return Mask((Causal(),))  # a new one each time: its cached rendering should be freed with the mask


def window(size: int) -> Mask:
    """Each query sees the last ``size`` keys, itself included (Beltagy et al. 2020); combine with ``causal()``."""
    return Mask((Window(size),))


def band(size: int) -> Mask:
    """Each query sees ``size`` keys to either side, itself included in both (Beltagy et al. 2020, figure 2b)."""
    return Mask((Band(size),))


def padding(lengths_B: Tensor) -> Mask:
    """A batch padded on the right; ``lengths_B`` are the lengths in tokens."""
    _counts("padding", lengths_B)
    return Mask((Padding(torch.zeros_like(lengths_B), lengths_B.clone()),))


def left_padding(starts_B: Tensor) -> Mask:
    """A batch padded on the left; ``starts_B`` is where each row's text begins. Stays valid as keys are appended."""
    _counts("left_padding", starts_B)
    # int64: the maximum of a narrower dtype could be a real place
    return Mask((Padding(starts_B.clone(), torch.full_like(starts_B, 2**63 - 1, dtype=torch.int64)),))


def documents(ids_BK: Tensor) -> Mask:
    """Documents packed into one row: a query sees only keys with its own document number."""
    _counts("documents", ids_BK)
    return Mask((Documents(ids_BK.clone()),))


def knockout(pairs: Iterable[tuple[int, int]], head: int | None = None) -> Mask:
    """Hide (query place, key place) pairs, in all heads or in one (Geva et al. 2023, attention knock-out)."""
    pairs = tuple((_whole("knockout", query), _whole("knockout", key)) for query, key in pairs)
    if not pairs:
        raise RequestError("knockout: no (query, key) pairs were given; name at least one")
    return Mask((Knocked(pairs, head),))
