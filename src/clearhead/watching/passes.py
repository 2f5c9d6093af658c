"""The passes in a record: which texts their batch rows held, and what each attention got."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clearhead.attend.mask import Mask
from clearhead.attend.request import Request
from clearhead.attend.score import Score
from clearhead.errors import WatchError
from clearhead.tap import Site, Spans


@dataclass(eq=False)
class Pass:
    """One forward pass of a stack. Cells are places of the padded batch; places count from the start of each text.

    rows: number of the text in each batch row
    first: cell of the first query
    spans: cells (start, stop) of each batch row's text
    places: places of each text after the pass, less those rewound since
    """

    rows: tuple[int, ...]
    queries: int
    first: int
    spans: Spans
    stack: str
    places: list[int] = field(init=False)

    def __post_init__(self) -> None:
        last = self.first + self.queries
        self.places = [max(0, min(stop, last) - start) for start, stop in self.spans]

    def before(self, row: int) -> int:
        """Places of a batch row's text that came before the pass."""
        return max(0, self.first - self.spans[row][0])

    def forget(self, text: int, places: int) -> None:
        """Forgets the places of a text from ``places`` on."""
        for row, number in enumerate(self.rows):
            if number == text:
                self.places[row] = min(self.places[row], places)

    @property
    def forgotten(self) -> bool:
        """True if no query of the pass is left."""
        return all(self.places[row] <= self.before(row) for row in range(len(self.rows)))

    def own(self, row: int) -> slice:
        """The queries of a batch row's text, without padding and forgotten places."""
        start = self.spans[row][0]
        low, high = max(0, start - self.first), start + self.places[row] - self.first
        return slice(min(low, self.queries), max(min(low, self.queries), min(high, self.queries)))


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the door: references to its inputs, no copies."""

    q_BHQD: Tensor
    k_BGKD: Tensor
    mask: Mask
    score: Score
    site: Site
    backend: str
    seen: Pass
    spans: Spans  # cells of each batch row's keys, which in cross-attention are another text's
    # the engine's cache: largest logit and sum of each row, by head
    norms: dict[tuple[int, ...], Tensor] = field(default_factory=dict[tuple[int, ...], Tensor], init=False)

    @classmethod
    def of(cls, request: Request, backend: str, seen: Pass, spill: Callable[[Tensor], Tensor] | None = None) -> Call:
        """The call of a request; keeps nothing in memory but queries and keys, or with ``spill`` what it makes of them.

        Raises WatchError if keys that stay in a cache would be spilled.
        """
        if spill is None:
            q_BHQD, k_BGKD = _references(request)
        elif request.site.kind != "cross" and request.k_BGKD.shape[2] > request.q_BHQD.shape[2]:
            raise WatchError(
                f"{request.site}: {request.q_BHQD.shape[2]} queries go on from a cache of keys, which stays in memory; "
                "leave out spill"
            )
        else:
            q_BHQD, k_BGKD = spill(request.q_BHQD.detach()), spill(request.k_BGKD.detach())
        mask = Mask(request.mask.parts)  # a new mask, without the rendering that the request's mask caches
        spans = mask.spans(q_BHQD.shape[0], k_BGKD.shape[2])
        return cls(q_BHQD, k_BGKD, mask, request.score.copied(), request.site, backend, seen, spans)

    @property
    def first_cell(self) -> int:
        """The key cell of query 0; negative if there are more queries than keys, which means two texts."""
        return self.k_BGKD.shape[2] - self.q_BHQD.shape[2]

    @property
    def two_texts(self) -> bool:
        """True if queries and keys belong to two texts, so that there is no distance between them."""
        return self.site.kind == "cross" or self.first_cell < 0


@dataclass(frozen=True, eq=False)
class Segment:
    """The queries of one text in one call, with their keys."""

    call: Call
    row: int  # in the batch

    @property
    def queries(self) -> slice:
        """The segment's query rows in the call."""
        return self.call.seen.own(self.row)

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
        """Which of the text's keys the segment's queries ``rows`` can see: bool, broadcast to (1, h, q, K)."""
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
    """q_BHQD and k_BGKD for the record: the tensors themselves, or copies if they would keep more in memory.

    Views of one fused projection would keep its values too. Queries and keys rotated or normalised together have their
    own memory. Keys stored elsewhere are a cache, which is shared.
    """
    q_BHQD, k_BGKD = request.q_BHQD.detach(), request.k_BGKD.detach()
    projection = q_BHQD.untyped_storage()
    together = k_BGKD.untyped_storage().data_ptr() == projection.data_ptr()
    if projection.nbytes() > q_BHQD.nbytes + (k_BGKD.nbytes if together else 0):
        q_BHQD = q_BHQD.clone()
        k_BGKD = k_BGKD.clone() if together else k_BGKD
    return q_BHQD, k_BGKD
