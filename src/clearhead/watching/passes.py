"""The passes that a record saw: which texts their batch rows held, and what each attention of them had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clearhead.attend.mask import Mask
from clearhead.attend.request import Request
from clearhead.attend.score import Score
from clearhead.tap import Site, Spans


@dataclass(eq=False)
class Pass:
    """One forward pass. Cells count the places of the padded batch, places those of each text alone.

    rows: number of the text that each batch row holds
    first: cell of the first query
    spans: cells (start, stop) of each batch row's text
    places: places of each text after the pass; fewer once a cache was rewound
    """

    rows: tuple[int, ...]
    queries: int
    first: int
    spans: Spans
    places: list[int] = field(init=False)

    def __post_init__(self) -> None:
        last = self.first + self.queries
        self.places = [max(0, min(stop, last) - start) for start, stop in self.spans]

    def before(self, row: int) -> int:
        """Places of a batch row's text that came before the pass."""
        return max(0, self.first - self.spans[row][0])

    def forget(self, text: int, places: int) -> None:
        """Leaves so many places of a text."""
        for row, number in enumerate(self.rows):
            if number == text:
                self.places[row] = min(self.places[row], places)

    @property
    def forgotten(self) -> bool:
        """True when no query of it is left."""
        return all(self.places[row] <= self.before(row) for row in range(len(self.rows)))

    def own(self, row: int) -> slice:
        """The queries of the pass that are a batch row's text, neither padding nor forgotten."""
        start = self.spans[row][0]
        low, high = max(0, start - self.first), start + self.places[row] - self.first
        return slice(min(low, self.queries), max(min(low, self.queries), min(high, self.queries)))


@dataclass(frozen=True, eq=False)
class Call:
    """What one passage through the door had: references, no copies."""

    q_BHQD: Tensor
    k_BGKD: Tensor
    mask: Mask
    score: Score
    site: Site
    backend: str
    seen: Pass
    spans: Spans  # cells of each batch row's keys; not the queries' where the text that is read is another
    # what the engine knows of each head's rows: their largest logits and sums
    norms: dict[tuple[int, ...], Tensor] = field(default_factory=dict[tuple[int, ...], Tensor], init=False)

    @classmethod
    def of(cls, request: Request, backend: str, seen: Pass) -> Call:
        """The call of a request, with no more kept alive than its queries and keys."""
        q_BHQD, k_BGKD = _references(request)
        mask = Mask(request.mask.parts)  # without the kernel's array, which the request's mask holds on to
        spans = mask.spans(q_BHQD.shape[0], k_BGKD.shape[2])
        return cls(q_BHQD, k_BGKD, mask, request.score.copied(), request.site, backend, seen, spans)

    @property
    def first_cell(self) -> int:
        """The key cell that query 0 sits at; negative where more queries than keys tell that they are two texts."""
        return self.k_BGKD.shape[2] - self.q_BHQD.shape[2]

    @property
    def two_texts(self) -> bool:
        """True when queries and keys are of two texts, with no distance between them."""
        return self.site.kind == "cross" or self.first_cell < 0


@dataclass(frozen=True, eq=False)
class Segment:
    """The queries of one text in one call, and the keys they had."""

    call: Call
    row: int  # of the batch

    @property
    def queries(self) -> slice:
        """Query rows of the call."""
        return slice(0, self.call.q_BHQD.shape[2]) if self.call.two_texts else self.call.seen.own(self.row)

    @property
    def count(self) -> int:
        """Number of queries."""
        return self.queries.stop - self.queries.start

    @property
    def start(self) -> int:
        """The key cell of the text's place 0."""
        return self.call.spans[self.row][0]

    @property
    def keys(self) -> int:
        """Number of key places."""
        start, stop = self.call.spans[self.row]
        return stop - start if self.call.two_texts else min(stop - start, self.call.seen.places[self.row])

    @property
    def first_place(self) -> int:
        """The key place of the segment's first query."""
        return self.call.first_cell + self.queries.start - self.start

    def visible(self, rows: slice, head: slice) -> Tensor:
        """Which of the text's keys the queries ``rows`` of the segment see: bool, broadcast to (1, h, q, K)."""
        device = self.call.q_BHQD.device
        b = torch.full((1, 1, 1, 1), self.row, device=device)
        h = torch.arange(head.start, head.stop, device=device).view(1, -1, 1, 1)
        first = self.call.first_cell + self.queries.start
        q = torch.arange(first + rows.start, first + rows.stop, device=device).view(1, 1, -1, 1)
        k = torch.arange(self.start, self.start + self.keys, device=device).view(1, 1, 1, -1)
        return self.call.mask.visible(b, h, q, k)


def segments(calls: Sequence[Call], text: int) -> Iterator[Segment]:
    """The queries of a text in the calls of one site, in order."""
    for call in calls:
        for row, number in enumerate(call.seen.rows):
            if number == text and (segment := Segment(call, row)).count:
                yield segment


def _references(request: Request) -> tuple[Tensor, Tensor]:
    """q_BHQD and k_BGKD for the record: the tensors themselves, or copies where those would keep more alive.

    Views of one fused projection would hold its values too; queries and keys that were turned or normalised together
    lie alone. Keys that lie elsewhere are a cache, which is shared.
    """
    q_BHQD, k_BGKD = request.q_BHQD.detach(), request.k_BGKD.detach()
    projection = q_BHQD.untyped_storage()
    together = k_BGKD.untyped_storage().data_ptr() == projection.data_ptr()
    if projection.nbytes() > q_BHQD.nbytes + (k_BGKD.nbytes if together else 0):
        q_BHQD = q_BHQD.clone()
        k_BGKD = k_BGKD.clone() if together else k_BGKD
    return q_BHQD, k_BGKD
