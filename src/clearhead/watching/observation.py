"""A record of one text that knows the text it saw."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching.map import BLOCK
from clearhead.watching.record import Record


class Observation(Record):
    """A record of one text that also knows its words, its ids, and which keys each query could see.

    text: as it was given; None when only labels are known
    ids: one id per place; empty when they are not known
    pieces: the characters that each place completes; joined they are the decoded text
    model: the name of the model for headings, set by who knows it
    """

    def __init__(
        self, record: Record, *, text: str | None = None, ids: Sequence[int] = (), pieces: Sequence[str] = ()
    ) -> None:
        """Shares what ``record`` keeps; nothing is copied. Raises WatchError when it holds no or several texts."""
        super().__init__(record.sites)
        self._calls = record._calls
        self.tokens = record.tokens
        self.text, self.ids, self.pieces = text, list(ids), list(pieces)
        self.model: str | None = None
        if not self._calls:
            raise WatchError("record: it holds nothing yet; run the model inside `with watch(model) as record:`")
        batches = {call.q_BHQD.shape[0] for calls in self._calls.values() for call in calls}
        if batches != {1}:
            raise WatchError(f"record: it holds {max(batches)} texts at once; observe one text at a time")
        shapes = {self.map(site, 0).shape for site in self._calls}
        if len(shapes) != 1:
            raise WatchError(f"record: its maps have different shapes {sorted(shapes)}; observe one kind of attention")
        (self.shape,) = shapes
        places = self.shape[1]
        if not self.tokens:
            self.tokens = [str(place) for place in range(places)]
        if len(self.tokens) != places:
            raise WatchError(f"record: {len(self.tokens)} labels were set for {places} places; set one for each")

    @classmethod
    def of(cls, record: Record) -> Observation:
        """The record itself when it is an observation, else one around it that knows only labels (or numbers)."""
        return record if isinstance(record, Observation) else cls(record)

    @property
    def first_place(self) -> int:
        """The place of query row 0: 0 unless the watch began in the middle of a cached text."""
        return self.shape[1] - self.shape[0]

    def seen(self) -> list[Site]:
        """The sites that were seen, in the order of the pass."""
        return list(self._calls)

    def heads(self, site: Site) -> int:
        """Number of query heads at a site that was seen."""
        return self._calls[site][0].q_BHQD.shape[1]

    def visible(self, site: Site, rows: slice) -> Tensor:
        """Which keys the query rows could see: bool (heads, rows, K), heads being 1 where all see the same."""
        tiles: list[Tensor] = []
        start, K = 0, self.shape[1]
        for call in self._calls[site]:
            first, last = max(rows.start, start), min(rows.stop, start + call.queries)
            if first < last:
                tile_1HQK = call.mask.tile(
                    slice(first - start, last - start),
                    batch=1,
                    heads=self.heads(site),
                    queries=call.queries,
                    keys=call.keys,
                    device=call.q_BHQD.device,
                )
                tiles.append(torch.nn.functional.pad(tile_1HQK[0].cpu(), (0, K - call.keys)))
            start += call.queries
        most = max(tile.shape[0] for tile in tiles)
        return torch.cat([tile.expand(most, -1, -1) for tile in tiles], dim=1)

    def visible_blocks(self, site: Site) -> Iterator[tuple[slice, Tensor]]:
        """(query rows, ``visible`` of them), a block of rows at a time."""
        Q, K = self.shape
        step = max(1, BLOCK // K)
        for start in range(0, Q, step):
            rows = slice(start, min(start + step, Q))
            yield rows, self.visible(site, rows)

    def mask_key(self, site: Site) -> Hashable:
        """Equal for sites that hide the same keys, so that what is worked out for one serves the others."""
        return tuple((call.mask.parts, call.queries, call.keys) for call in self._calls[site])
