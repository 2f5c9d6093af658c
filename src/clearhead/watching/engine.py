"""The engine behind every map: computes any number of measures in one sweep over the queries and keys of a site.

It computes weights in tiles that fit the processor's cache. The first sweep finds each row's largest logit and sum, and
the measures that are sums over a row. If a measure needs the normalised weights, a second sweep divides by those sums.
Keys that no query of a tile sees are skipped, and masks are evaluated cell by cell only along their borders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend.mask import Mask
from clearhead.attend.request import wide
from clearhead.errors import WatchError
from clearhead.watching.passes import Segment
from clearhead.watching.reach import hiding, reach
from clearhead.watching.reducers import Extent, Joined, Reducer, RowReducer, Tile, TileReducer

# Numbers in a tile (on the CPU, per torch thread, since threads split each operation), and its maximum of query rows.
# Three float32 tiles take 3 MB of each core's cache. On a GPU the number of operations is what costs.
TILE, GPU_TILE, ROWS = 2**18, 2**24, 512

# exp on a CPU is a hundred times slower if its result is subnormal. So weights that are within this many nats of the
# smallest normal number count as 0: what is kept stays normal even divided by the sum over 240,000 keys.
ROOM = 12.4


def sweep(
    segments: Sequence[Segment],
    heads: range,
    measures: Sequence[Reducer],
    *,
    rows: slice | None = None,
    columns: slice | None = None,
) -> list[Tensor]:
    """Each measure's result, on the CPU, heads first. ``rows`` and, for TileReducers, ``columns`` limit the sweep.

    Raises WatchError if a row's logits are not finite.
    """
    queries, keys = shape(segments)
    call = segments[0].call
    dtype, device = wide(call.q_BHQD.dtype), call.q_BHQD.device
    by_row = [measure for measure in measures if isinstance(measure, RowReducer)]
    by_tile = [measure for measure in measures if isinstance(measure, TileReducer)]
    autocast = torch.autocast(device.type, enabled=False)  # it would round products to bfloat16
    with torch.inference_mode(mode=False), torch.no_grad(), autocast:
        sunk_HQ = torch.zeros(len(heads), queries, dtype=dtype, device=device)
        first_place = None if call.two_texts else segments[0].first_place
        extent = Extent(name(segments, heads), len(heads), queries, keys, first_place, sunk_HQ)
        for measure in measures:
            measure.start(extent)
        work = _Sweep(_pieces(segments, rows or slice(0, queries)), heads, extent)
        work.sum(by_row)
        odd_H = sunk_HQ.isnan().any(dim=1)
        if bool(odd_H.any()):
            head = heads[int(odd_H.int().argmax())]
            raise WatchError(
                f"{name(segments, range(head, head + 1))}: the logits are not finite; the model's queries or keys hold "
                "NaN or infinity"
            )
        if by_tile:
            asked = range(keys)[columns] if columns else range(keys)
            work.add(by_tile, asked)
        return [measure.done().cpu() for measure in measures]


def shape(segments: Sequence[Segment]) -> tuple[int, int]:
    """(queries, keys) of a map."""
    return sum(each.count for each in segments), segments[-1].keys


def name(segments: Sequence[Segment], heads: range) -> str:
    """A name for the swept maps, for errors."""
    which = f"head {heads[0]}" if len(heads) == 1 else f"heads {heads[0]} to {heads[-1]}"
    return f"AttentionMap({segments[0].call.site}, {which}, shape {shape(segments)})"


@dataclass(frozen=True)
class _Piece:
    """Some ``rows`` of a segment; ``first`` is their first row in the map."""

    segment: Segment
    rows: range
    first: int


@dataclass(frozen=True)
class _Block:
    """Some heads and rows of a piece, and their tiles: the keys of each, and which of those are hidden."""

    segment: Segment
    heads: range
    rows: range  # in the segment
    tiles: Sequence[tuple[range, Tensor | None]]  # key places, hidden_HQK
    of_heads: slice  # in the sweep
    of_rows: slice  # in the piece
    of_map: slice  # in the map


class _Sweep:
    """Computes rows of some heads, one tile at a time."""

    def __init__(self, pieces: Sequence[_Piece], heads: range, extent: Extent) -> None:
        self._pieces, self._heads, self._sunk_HQ = pieces, heads, extent.sunk_HQ
        self._dtype, self.device = extent.sunk_HQ.dtype, extent.sunk_HQ.device
        self._tile = TILE * torch.get_num_threads() if self.device.type == "cpu" else GPU_TILE
        self._floor = math.log(torch.finfo(self._dtype).tiny) + ROOM
        self._room: list[Tensor] = []
        self._views: dict[tuple[int, int, int], list[Tensor]] = {}
        self._norms: list[Tensor] = []  # norms_2HQ of each piece

    def sum(self, reducers: Sequence[RowReducer]) -> None:
        """The first sweep: every row's norms, its weight on the sink, and the reducers' sums.

        Without reducers, norms cached in the call are reused.
        """
        for piece in self._pieces:
            segment, kept = piece.segment, piece.segment.call.norms
            key = (segment.row, segment.queries.start, segment.count, segment.keys)
            if not reducers and all((*key, head) in kept for head in self._heads):
                norms_2HQ = torch.stack([kept[*key, head] for head in self._heads], dim=1)
                norms_2HQ = norms_2HQ[:, :, piece.rows.start : piece.rows.stop]
                self._sink(segment, norms_2HQ, slice(None), slice(piece.first, piece.first + len(piece.rows)))
            else:
                norms_2HQ = torch.zeros(2, len(self._heads), len(piece.rows), dtype=self._dtype, device=self.device)
                for block in self._blocks(piece, range(segment.keys)):
                    self._sum(block, norms_2HQ[:, block.of_heads, block.of_rows], reducers)
                if len(piece.rows) == segment.count:
                    kept.update({(*key, head): norms_2HQ[:, n] for n, head in enumerate(self._heads)})
            self._norms.append(norms_2HQ)

    def add(self, reducers: Sequence[TileReducer], columns: range) -> None:
        """The second sweep: gives the reducers the tiles in ``columns``."""
        for piece, (peak_HQ, total_HQ) in zip(self._pieces, self._norms, strict=True):
            for block in self._blocks(piece, columns):
                peak_HQ1 = peak_HQ[block.of_heads, block.of_rows, None]
                total_HQ1 = total_HQ[block.of_heads, block.of_rows, None]
                inverse_HQ1, log_HQ1 = 1.0 / total_HQ1, total_HQ1.log()
                for tile, _ in self._tiles(block):
                    self._exp(tile.logs_HQK.sub_(peak_HQ1), tile.weights_HQK)
                    self._drop(tile.weights_HQK)
                    tile.weights_HQK.mul_(inverse_HQ1)
                    tile.logs_HQK.sub_(log_HQ1)
                    tile.sums_HQ = tile.weights_HQK.sum(2)
                    for reducer in reducers:
                        reducer.add(tile)

    def _sum(self, block: _Block, norms_2HQ: Tensor, reducers: Sequence[RowReducer]) -> None:
        """Writes the norms of a block's rows: the peak (largest logit) and the sum of exp(logit - peak), sink included.

        Each tile uses its own peaks; its sums are rescaled once all are known. That is the online softmax (Milakov and
        Gimelshein 2018) with one correction instead of one per tile. Rows that see no key get 0 and 1.
        """
        zeros_HQ = torch.zeros(len(block.heads), len(block.rows), dtype=self._dtype, device=self.device)
        peaks = [zeros_HQ[:, :, None]]  # an empty first tile, for rows without any
        sums = [zeros_HQ]
        parts = [[zeros_HQ] for _ in reducers]
        for tile, border in self._tiles(block):
            peak_HQ1 = tile.logs_HQK.amax(2, keepdim=True)
            if border:
                peak_HQ1.masked_fill_(peak_HQ1 == -math.inf, 0.0)
            self._exp(tile.logs_HQK.sub_(peak_HQ1), tile.weights_HQK)
            if border:
                self._drop(tile.weights_HQK)
            tile.sums_HQ = tile.weights_HQK.sum(2)
            peaks.append(peak_HQ1)
            sums.append(tile.sums_HQ)
            for reducer, found in zip(reducers, parts, strict=True):
                part_HQ = reducer.part(tile)
                found.append(zeros_HQ if part_HQ is None else part_HQ)
        peaks_NHQ, sums_NHQ = torch.stack(peaks)[..., 0], torch.stack(sums)
        empty_NHQ = sums_NHQ == 0.0
        peak_HQ = peaks_NHQ.masked_fill(empty_NHQ, -math.inf).amax(0)
        sinks_H = self._sinks(block.segment, block.of_heads)
        if sinks_H is not None:
            peak_HQ = torch.maximum(peak_HQ, sinks_H[:, None])
        peak_HQ = peak_HQ.masked_fill(peak_HQ == -math.inf, 0.0)
        above_NHQ = peaks_NHQ - peak_HQ
        scale_NHQ = above_NHQ.exp().masked_fill(empty_NHQ, 0.0)
        total_HQ = (sums_NHQ * scale_NHQ).sum(0)
        if sinks_H is not None:
            total_HQ += torch.exp(sinks_H[:, None] - peak_HQ)
        total_HQ.masked_fill_(total_HQ == 0.0, 1.0)
        norms_2HQ.copy_(torch.stack([peak_HQ, total_HQ]))
        sunk_HQ = self._sink(block.segment, norms_2HQ, block.of_heads, block.of_map)
        scale_NHQ /= total_HQ
        joined = Joined(sums_NHQ * scale_NHQ, above_NHQ - total_HQ.log(), sunk_HQ)
        for reducer, found in zip(reducers, parts, strict=True):
            reducer.found_HQ[block.of_heads, block.of_map] = reducer.join(torch.stack(found) * scale_NHQ, joined)

    def _sink(self, segment: Segment, norms_2HQ: Tensor, heads: slice, rows: slice) -> Tensor:
        """sunk_HQ, also written into the extent's; NaN if a row's logits are not finite."""
        peak_HQ, total_HQ = norms_2HQ
        sinks_H = self._sinks(segment, heads)
        above_HQ = peak_HQ * 0.0 if sinks_H is None else torch.exp(sinks_H[:, None] - peak_HQ)
        self._sunk_HQ[heads, rows] = above_HQ / total_HQ
        return self._sunk_HQ[heads, rows]

    def _sinks(self, segment: Segment, heads: slice) -> Tensor | None:
        sinks_H = segment.call.score.sinks_H
        return None if sinks_H is None else sinks_H[self._heads.start : self._heads.stop][heads].to(self._dtype)

    def _exp(self, s_HQK: Tensor, out: Tensor) -> None:
        """Writes exp(s), with s clamped to the floor."""
        torch.exp(s_HQK.clamp_(min=self._floor), out=out)

    def _drop(self, weights_HQK: Tensor) -> None:
        """Sets to 0 what was clamped to the floor."""
        torch.threshold_(weights_HQK, math.exp(self._floor) * 1.001, 0.0)

    def _blocks(self, piece: _Piece, columns: range) -> Iterator[_Block]:
        """The blocks of a piece, with tiles over the key places in ``columns`` that a query may see."""
        segment, mask, row = piece.segment, piece.segment.call.mask, piece.segment.row
        cell = segment.call.first_cell + segment.queries.start
        tall = min(ROWS, self._tile)
        for first in range(piece.rows.start, piece.rows.stop, tall):
            rows = range(first, min(first + tall, piece.rows.stop))
            queries = range(cell + rows.start, cell + rows.stop)
            asked = range(segment.start + columns.start, segment.start + min(columns.stop, segment.keys))
            seen = reach(mask, row, queries, asked)
            across = min(self._tile // len(rows), max(1, len(seen)))
            tiles: list[tuple[range, Tensor | None]] = []
            for left in range(seen.start, seen.stop, across):
                keys = range(left, min(left + across, seen.stop))
                hidden_HQK = self._hidden(hiding(mask, row, self._heads, queries, keys), row, queries, keys)
                tiles.append((range(keys.start - segment.start, keys.stop - segment.start), hidden_HQK))
            for heads in self._bands(segment, self._tile // (len(rows) * across)):
                yield _Block(
                    segment,
                    heads,
                    rows,
                    tiles,
                    slice(heads.start - self._heads.start, heads.stop - self._heads.start),
                    slice(rows.start - piece.rows.start, rows.stop - piece.rows.start),
                    slice(rows.start - piece.rows.start + piece.first, rows.stop - piece.rows.start + piece.first),
                )

    def _bands(self, segment: Segment, most: int) -> Iterator[range]:
        """Ranges of heads that fit in a tile; if query heads share keys, none crosses a group's end."""
        start, group = self._heads.start, _group(segment)
        while start < self._heads.stop:
            stop = min(start + most, self._heads.stop, (start // group + 1) * group if group > 1 else self._heads.stop)
            yield range(start, stop)
            start = stop

    def _hidden(self, mask: Mask, row: int, queries: range, keys: range) -> Tensor | None:
        """hidden_HQK, with H = 1 if all heads see the same; None if the mask hides nothing."""
        if not mask.parts:
            return None
        b, h, q, k = self._indices(range(row, row + 1), self._heads, queries, keys)
        return ~mask.visible(b, h, q, k)[0]

    def _tiles(self, block: _Block) -> Iterator[tuple[Tile, bool]]:
        """The tiles of a block, with logits in ``logs_HQK`` (-inf where hidden), and whether any key is hidden."""
        segment, heads, rows = block.segment, block.heads, block.rows
        call, row, group = segment.call, segment.row, _group(segment)
        first, start = segment.queries.start, segment.start
        q_HQD = call.q_BHQD[row, heads.start : heads.stop, first + rows.start : first + rows.stop].to(self._dtype)
        k_HKD = call.k_BGKD[row, heads.start // group : (heads.stop - 1) // group + 1]
        k_HDK = k_HKD.expand(len(heads), -1, -1).transpose(1, 2)  # one group's keys, or one row per head
        factor = call.score.factor(q_HQD.shape[2])
        sums_HQ = q_HQD[..., 0]  # only a shape; the sweeps set it
        for keys, hidden_HQK in block.tiles:
            logs_HQK, weights_HQK, scratch_HQK = self._buffers(len(heads), len(rows), len(keys))
            tile_HDK = k_HDK[:, :, start + keys.start : start + keys.stop].to(self._dtype)
            torch.baddbmm(logs_HQK, q_HQD, tile_HDK, beta=0, alpha=factor, out=logs_HQK)
            if call.score.softcap is not None:
                logs_HQK.copy_(call.score.capped(logs_HQK))
            if hidden_HQK is not None:
                own_HQK = hidden_HQK[block.of_heads] if hidden_HQK.shape[0] > 1 else hidden_HQK
                logs_HQK.masked_fill_(own_HQK, -math.inf)
            columns = slice(keys.start, keys.stop)
            tile = Tile(block.of_heads, block.of_map, columns, weights_HQK, logs_HQK, scratch_HQK, sums_HQ)
            yield tile, hidden_HQK is not None

    def _indices(self, *ranges: range) -> Iterator[Tensor]:
        """Index tensors of batch rows, heads, queries and keys, each along its own axis."""
        for axis, each in enumerate(ranges):
            shape = [1] * len(ranges)
            shape[axis] = len(each)
            yield torch.arange(each.start, each.stop, device=self.device).view(shape)

    def _buffers(self, H: int, Q: int, K: int) -> list[Tensor]:
        """Three reused, uninitialised buffers of a tile's size."""
        count = H * Q * K
        if not self._room or self._room[0].numel() < count:
            size = 1 << (count - 1).bit_length()  # at most twice what is needed
            self._room = [torch.empty(size, dtype=self._dtype, device=self.device) for _ in range(3)]
            self._views.clear()
        if (H, Q, K) not in self._views:
            self._views[H, Q, K] = [room[:count].view(H, Q, K) for room in self._room]
        return self._views[H, Q, K]


def _group(segment: Segment) -> int:
    """Number of query heads that share one key head."""
    return segment.call.q_BHQD.shape[1] // segment.call.k_BGKD.shape[1]


def _pieces(segments: Sequence[Segment], rows: slice) -> list[_Piece]:
    """The pieces that make up some rows of the map."""
    pieces: list[_Piece] = []
    start = 0
    for segment in segments:
        own = range(max(rows.start - start, 0), min(rows.stop - start, segment.count))
        if own:
            pieces.append(_Piece(segment, own, start + own.start))
        start += segment.count
    return pieces
