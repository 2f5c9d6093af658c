"""How a sweep is cut into blocks: some heads, rows and keys whose products are computed at once.

Keys that no row of a block sees are skipped, and masks are evaluated cell by cell only along their borders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.watching.passes import Segment
from clearhead.watching.reach import hiding, reach

# Numbers in a strip (on the CPU, per torch thread, since threads split each operation). On a GPU the number of
# operations is what costs.
TILE, GPU_TILE = 2**18, 2**24

# Rows of a strip that has a few of their keys: square strips have the fewest hidden keys along the border of a mask.
TALL = 512

# Products of whole rows are computed for several strips at once: a product of few rows and many keys takes up to four
# times its share of the time. At most this many numbers (16 MB in float32) and rows, since more rows mean more hidden
# keys along the border of a mask; a strip has at least LEAST rows, since each of its operations has a fixed cost.
PRODUCT, ROWS, LEAST = 2**22, 256, 32

# Numbers that may be kept for a run of rows in all heads (64 MB in float32). LEAST rows of all heads may be more, but
# no more than the numbers in the queries of all places, if a head is at least LEAST wide.
TOGETHER = 2**24

# Columns tested at once for keys that the mask hides.
CHUNK = 512


@dataclass(frozen=True)
class SegmentRows:
    """Some ``rows`` of a segment; ``first`` is their first row in the map."""

    segment: Segment
    rows: range
    first: int


@dataclass(frozen=True)
class StripRows:
    """Rows of a block that make one strip, and the key places they may see."""

    rows: slice  # in the block
    keys: range
    hidden: Sequence[tuple[slice, Tensor]]  # columns, from the first of ``keys``, and hidden_HQK there
    of_rows: slice  # in the piece
    of_map: slice  # in the map


@dataclass(frozen=True)
class MapBlock:
    """Some heads and rows of a piece, whose products are computed at once, and the key places they may see.

    later: whether earlier blocks have the same heads and rows. last: whether no later block has them
    """

    segment: Segment
    heads: range
    rows: range  # in the segment
    keys: range
    of_heads: slice  # in the sweep
    parts: Sequence[StripRows]
    later: bool = False
    last: bool = True


class Blocks:
    """Cuts the pieces of a map of ``heads`` into blocks."""

    def __init__(self, heads: range, device: torch.device) -> None:
        self._heads, self._device = heads, device
        self._tile = TILE * torch.get_num_threads() if device.type == "cpu" else GPU_TILE

    def tiles(self, piece: SegmentRows) -> Iterator[MapBlock]:
        """Blocks of a few keys each, one strip in each; those of the same rows and heads follow one another."""
        for first in range(piece.rows.start, piece.rows.stop, TALL):
            rows = range(first, min(first + TALL, piece.rows.stop))
            seen = self._reached(piece, rows, range(piece.segment.keys), whole=True)
            across = max(1, min(len(seen), self._tile // len(rows)))
            cut = [range(left, min(left + across, seen.stop)) for left in range(seen.start, seen.stop, across)]
            parts = [self._part(piece, rows, rows, keys) for keys in cut]
            for heads in self._bands(max(1, self._tile // (len(rows) * across))):
                for part in parts:
                    ends = {"later": part is not parts[0], "last": part is parts[-1]}
                    yield self._block(piece, heads, rows, part.keys, [part], **ends)

    def strips(
        self, piece: SegmentRows, columns: range, *, whole: bool = False, together: bool = False
    ) -> Iterator[MapBlock]:
        """Blocks of all keys in ``columns`` that a row may see; if ``whole``, at least one.

        With ``together``, a run of rows has at most TOGETHER numbers in all heads, or LEAST rows.
        """
        first = piece.rows.start
        while first < piece.rows.stop:
            short = range(first, min(first + LEAST, piece.rows.stop))
            across = max(1, len(self._reached(piece, short, columns, whole=whole)))
            tall = max(self._tile, PRODUCT) // across
            if together:
                tall = min(tall, TOGETHER // (across * len(self._heads)))
            tall = min(ROWS, max(LEAST, tall))
            rows = range(first, min(first + tall, piece.rows.stop))
            first = rows.stop
            seen = self._reached(piece, rows, columns, whole=whole)
            if not seen:
                continue
            most = max(1, self._tile // (len(rows) * len(seen)))
            step = max(LEAST, self._tile // (min(most, len(self._heads)) * len(seen)))
            parts: list[StripRows] = []
            for top in range(rows.start, rows.stop, step):
                some = range(top, min(top + step, rows.stop))
                keys = self._reached(piece, some, seen, whole=whole)
                if keys:
                    parts.append(self._part(piece, rows, some, keys))
            for heads in self._bands(most):
                yield self._block(piece, heads, rows, seen, parts)

    def _bands(self, most: int) -> Iterator[range]:
        """The heads, at most ``most`` at a time."""
        for band in range(self._heads.start, self._heads.stop, most):
            yield range(band, min(band + most, self._heads.stop))

    def _block(
        self, piece: SegmentRows, heads: range, rows: range, keys: range, parts: Sequence[StripRows], **ends: bool
    ) -> MapBlock:
        of_heads = slice(heads.start - self._heads.start, heads.stop - self._heads.start)
        return MapBlock(piece.segment, heads, rows, keys, of_heads, parts, **ends)

    def _part(self, piece: SegmentRows, block: range, rows: range, keys: range) -> StripRows:
        of_rows = slice(rows.start - piece.rows.start, rows.stop - piece.rows.start)
        return StripRows(
            slice(rows.start - block.start, rows.stop - block.start),
            keys,
            list(self._hidden(piece.segment, rows, keys)),
            of_rows,
            slice(of_rows.start + piece.first, of_rows.stop + piece.first),
        )

    def _reached(self, piece: SegmentRows, rows: range, keys: range, *, whole: bool) -> range:
        """The key places that ``rows`` may see; if ``whole``, at least one."""
        segment = piece.segment
        asked = _cells(segment, range(keys.start, min(keys.stop, segment.keys)))
        seen = reach(segment.call.mask, segment.row, _queries(segment, rows), asked)
        if whole and not seen:
            seen = asked[:1]
        return range(seen.start - segment.start, seen.stop - segment.start)

    def _hidden(self, segment: Segment, rows: range, keys: range) -> Iterator[tuple[slice, Tensor]]:
        """The chunks of columns in which the mask hides any key, and hidden_HQK there, with H = 1 if all heads see the
        same."""
        mask, queries, cells = segment.call.mask, _queries(segment, rows), _cells(segment, keys)
        for left in range(0, len(keys) if mask.parts else 0, CHUNK):
            chunk = cells[left : left + CHUNK]
            border = hiding(mask, segment.row, self._heads, queries, chunk)
            if border.parts:
                b, h, q, k = self._indices(range(segment.row, segment.row + 1), self._heads, queries, chunk)
                yield slice(left, left + len(chunk)), ~border.visible(b, h, q, k)[0]

    def _indices(self, *ranges: range) -> Iterator[Tensor]:
        """Index tensors of batch rows, heads, queries and keys, each along its own axis."""
        for axis, each in enumerate(ranges):
            shape = [1] * len(ranges)
            shape[axis] = len(each)
            yield torch.arange(each.start, each.stop, device=self._device).view(shape)


def pieces(segments: Sequence[Segment], rows: slice) -> list[SegmentRows]:
    """The pieces that make up some rows of the map."""
    found: list[SegmentRows] = []
    start = 0
    for segment in segments:
        own = range(max(rows.start - start, 0), min(rows.stop - start, segment.count))
        if own:
            found.append(SegmentRows(segment, own, start + own.start))
        start += segment.count
    return found


def _cells(segment: Segment, keys: range) -> range:
    """Key places in the cells of the batch."""
    return range(segment.start + keys.start, segment.start + keys.stop)


def _queries(segment: Segment, rows: range) -> range:
    """Rows of a segment in the cells of the batch."""
    first = segment.call.first_cell + segment.queries.start
    return range(first + rows.start, first + rows.stop)
