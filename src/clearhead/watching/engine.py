"""The engine behind every map: computes any number of measures in one sweep over the queries and keys of a site.

It computes weights in strips: some rows of some heads, with all keys these rows see, so that each row's sum is known at
once and every measure can read the strip while it is in the processor's cache. Keys that no row of a strip sees are
skipped, and masks are evaluated cell by cell only along their borders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend.mask import Causal, Mask
from clearhead.attend.request import wide
from clearhead.errors import WatchError
from clearhead.watching.passes import Segment
from clearhead.watching.reach import hiding, reach
from clearhead.watching.reducers import Extent, Reducer, Strip

# Numbers in a strip (on the CPU, per torch thread, since threads split each operation). On a GPU the number of
# operations is what costs.
TILE, GPU_TILE = 2**18, 2**24

# Products are computed for several strips at once: of few rows and many keys they take up to four times their share of
# the time. At most so many numbers (16 MB in float32) and rows, since more rows compute more hidden keys along the
# border of a mask; a strip has at least LEAST rows, since each of its operations has a cost of its own.
PRODUCT, ROWS, LEAST = 2**22, 256, 32

# Columns that are asked at once whether the mask hides any of them; and columns of a strip that has all heads.
CHUNK, ACROSS = 512, 512

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
    """Each measure's result, on the CPU, heads first. ``rows`` and ``columns`` limit what the measures see.

    Raises WatchError if a row's logits are not finite.
    """
    queries, keys = shape(segments)
    call = segments[0].call
    dtype, device = wide(call.q_BHQD.dtype), call.q_BHQD.device
    autocast = torch.autocast(device.type, enabled=False)  # it would round products to bfloat16
    with torch.inference_mode(mode=False), torch.no_grad(), autocast:
        extent = Extent(
            name(segments, heads),
            len(heads),
            queries,
            keys,
            None if call.two_texts else segments[0].first_place,
            not all(any(isinstance(part, Causal) for part in each.call.mask.parts) for each in segments),
            torch.zeros(len(heads), queries, dtype=dtype, device=device),
            torch.ones(len(heads), queries, dtype=dtype, device=device),
        )
        for measure in measures:
            measure.start(extent)
        work = _Sweep(segments, heads, extent)
        alone, together = ([each for each in measures if each.together == both] for both in (False, True))
        for piece in _pieces(segments, rows or slice(0, queries)):
            if alone or not together:
                for strip in work.strips(piece, None if columns is None else range(keys)[columns]):
                    for measure in alone:
                        measure.add(strip)
            if together:
                for strip in work.strips(piece, range(keys)[columns or slice(None)], together=True):
                    for measure in together:
                        measure.add(strip)
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
class _Part:
    """Rows of a block that make one strip, and the key places they may see."""

    rows: slice  # in the block
    keys: range
    hidden: Sequence[tuple[slice, Tensor]]  # columns, from the first of ``keys``, and hidden_HQK there
    of_rows: slice  # in the piece
    of_map: slice  # in the map


@dataclass(frozen=True)
class _Block:
    """Some heads and rows of a piece, whose products are computed at once, and the key places they may see."""

    segment: Segment
    heads: range
    rows: range  # in the segment
    keys: range
    of_heads: slice  # in the sweep
    parts: Sequence[_Part]


class _Sweep:
    """Computes rows of some heads, one strip at a time."""

    def __init__(self, segments: Sequence[Segment], heads: range, extent: Extent) -> None:
        self._segments, self._heads, self._extent = segments, heads, extent
        self._dtype, self._device = extent.sums_HQ.dtype, extent.sums_HQ.device
        self._tile = TILE * torch.get_num_threads() if self._device.type == "cpu" else GPU_TILE
        self._floor = math.log(torch.finfo(self._dtype).tiny) + ROOM
        self._room: dict[int, Tensor] = {}
        self._depths: dict[Segment, bool] = {}

    def strips(self, piece: _Piece, columns: range | None, *, together: bool = False) -> Iterator[Strip]:
        """The strips of a piece over all keys, or over some ``columns``, for which the rows' norms must be known.

        With ``together``, strips have all heads, and only as many columns as fit in the cache then.

        Raises WatchError, at the end, if a row's logits are not finite.
        """
        if columns is None:
            yield from self._whole(piece, self._empty(piece))
            return
        norms_2HQ = self._norms(piece)
        step = ACROSS if together else max(1, len(columns))
        for start in range(columns.start, columns.stop, step):
            some = range(start, min(start + step, columns.stop))
            for block in self._blocks(piece, some, whole=False, together=together):
                yield from self._strips(block, norms_2HQ, known=True)

    def _whole(self, piece: _Piece, norms_2HQ: Tensor) -> Iterator[Strip]:
        """The strips over all keys, which write the rows' norms."""
        for block in self._blocks(piece, range(piece.segment.keys), whole=True, together=False):
            yield from self._strips(block, norms_2HQ, known=False)
        self._keep(piece, norms_2HQ)

    def _norms(self, piece: _Piece) -> Tensor:
        """norms_2HQ of a piece's rows: those cached in the call, or else from a sweep of their own."""
        kept, key = piece.segment.call.norms, _key(piece.segment)
        if all((*key, head) in kept for head in self._heads):
            norms_2HQ = torch.stack([kept[*key, head] for head in self._heads], dim=1)
            return norms_2HQ[:, :, piece.rows.start : piece.rows.stop]
        norms_2HQ = self._empty(piece)
        for _ in self._whole(piece, norms_2HQ):
            pass
        return norms_2HQ

    def _empty(self, piece: _Piece) -> Tensor:
        """norms_2HQ to be found: the peak of each row, which its strip subtracts, and its total."""
        return torch.zeros(2, len(self._heads), len(piece.rows), dtype=self._dtype, device=self._device)

    def _keep(self, piece: _Piece, norms_2HQ: Tensor) -> None:
        """Checks the norms, and caches them in the call if they are those of all its rows."""
        odd_H = norms_2HQ[1].isnan().any(dim=1)
        if bool(odd_H.any()):
            head = self._heads[int(odd_H.int().argmax())]
            raise WatchError(
                f"{name(self._segments, range(head, head + 1))}: the logits are not finite; the model's queries or "
                "keys hold NaN or infinity"
            )
        if len(piece.rows) == piece.segment.count:
            key = _key(piece.segment)
            piece.segment.call.norms.update({(*key, head): norms_2HQ[:, n] for n, head in enumerate(self._heads)})

    def _strips(self, block: _Block, norms_2HQ: Tensor, *, known: bool) -> Iterator[Strip]:
        logits_HQK = self._buffer(0, len(block.heads), len(block.rows), len(block.keys))
        self._logits(block, logits_HQK)
        for part in block.parts:
            columns = slice(part.keys.start - block.keys.start, part.keys.stop - block.keys.start)
            yield self._strip(block, part, logits_HQK[:, part.rows, columns], norms_2HQ, known=known)

    def _strip(self, block: _Block, part: _Part, logs_HQK: Tensor, norms_2HQ: Tensor, *, known: bool) -> Strip:
        """One strip, from its logits, which it overwrites.

        Without known norms, writes the peak and the total of each row (0 and 1 if it sees no key).
        """
        H, Q, K = logs_HQK.shape
        exps_HQK = self._buffer(1, H, Q, K)
        peak_HQ, total_HQ = norms_2HQ[:, block.of_heads, part.of_rows]
        for columns, hidden_HQK in part.hidden:
            own_HQK = hidden_HQK[block.of_heads] if hidden_HQK.shape[0] > 1 else hidden_HQK
            logs_HQK[:, :, columns].masked_fill_(own_HQK, -math.inf)
        sinks_H = block.segment.call.score.sinks_H
        sinks_H1 = None if sinks_H is None else sinks_H[block.heads.start : block.heads.stop, None].to(self._dtype)
        most_HQ = None
        if not known:
            most_HQ = logs_HQK.amax(2)
            peak_HQ.copy_(most_HQ if sinks_H1 is None else torch.maximum(most_HQ, sinks_H1))
            peak_HQ.masked_fill_(peak_HQ == -math.inf, 0.0)
        logs_HQK.sub_(peak_HQ[:, :, None])
        # Where nothing can be far below the peak, only hidden keys need the clamp. For few rows, asking costs more.
        deep = Q < LEAST or self._deep(block.segment)
        ends = [slice(0, K)] if deep else [columns for columns, _ in part.hidden]
        for columns in ends:
            logs_HQK[:, :, columns].clamp_(min=self._floor)
        torch.exp(logs_HQK, out=exps_HQK)
        for columns in ends:
            torch.threshold_(exps_HQK[:, :, columns], math.exp(self._floor) * 1.001, 0.0)
        sums_HQ = exps_HQK.sum(2)
        sink_HQ = torch.zeros_like(sums_HQ) if sinks_H1 is None else torch.exp(sinks_H1 - peak_HQ)
        if not known:
            total_HQ.copy_(sums_HQ + sink_HQ)
            total_HQ.masked_fill_(total_HQ == 0.0, 1.0)
            self._extent.sums_HQ[block.of_heads, part.of_map] = sums_HQ
            self._extent.totals_HQ[block.of_heads, part.of_map] = total_HQ
        return Strip(
            block.of_heads,
            part.of_map,
            slice(part.keys.start, part.keys.stop),
            exps_HQK=exps_HQK,
            logs_HQK=logs_HQK,
            sums_HQ=sums_HQ,
            totals_HQ=total_HQ,
            sinks_HQ=sink_HQ,
            largest_HQ=None if most_HQ is None else torch.exp(most_HQ - peak_HQ),
            buffer=lambda number: self._buffer(2 + number, H, Q, K),
        )

    def _logits(self, block: _Block, out_HQK: Tensor) -> None:
        """Writes the logits, of hidden keys too."""
        segment, heads, rows = block.segment, block.heads, block.rows
        call, row, group = segment.call, segment.row, _group(segment)
        first, start = segment.queries.start, segment.start
        q_HQD = call.q_BHQD[row, :, first + rows.start : first + rows.stop]
        k_GKD = call.k_BGKD[row, :, start + block.keys.start : start + block.keys.stop]
        factor = call.score.factor(q_HQD.shape[2])
        for some, keyed in _groups(heads, group):
            own_HQD, k_HKD = q_HQD[some.start : some.stop].to(self._dtype), k_GKD[keyed].to(self._dtype)
            part_HQK = out_HQK[some.start - heads.start : some.stop - heads.start]
            k_HDK = k_HKD.expand(len(some), -1, -1).transpose(1, 2)
            torch.baddbmm(part_HQK, own_HQD, k_HDK, beta=0, alpha=factor, out=part_HQK)
        if call.score.softcap is not None:
            out_HQK.copy_(call.score.capped(out_HQK))

    def _deep(self, segment: Segment) -> bool:
        """Whether a logit may be so far below its row's peak that its exp is subnormal: |q| |k| bounds all logits."""
        if segment not in self._depths:
            call, group = segment.call, _group(segment)
            q_H, k_G = (each[segment.row].to(self._dtype).norm(dim=-1).amax(-1) for each in (call.q_BHQD, call.k_BGKD))
            bound = float((q_H * k_G.repeat_interleave(group)).max()) * call.score.factor(call.q_BHQD.shape[3])
            sink = 0.0 if call.score.sinks_H is None else float(call.score.sinks_H.max())
            self._depths[segment] = not bound + max(bound, sink) < -self._floor
        return self._depths[segment]

    def _blocks(self, piece: _Piece, columns: range, *, whole: bool, together: bool) -> Iterator[_Block]:
        """The blocks of a piece over the key places in ``columns`` that a query may see; if ``whole``, at least one."""
        segment, mask, row = piece.segment, piece.segment.call.mask, piece.segment.row
        cell, start = segment.call.first_cell + segment.queries.start, segment.start
        asked = range(start + columns.start, start + min(columns.stop, segment.keys))

        def reached(rows: range) -> range:
            seen = reach(mask, row, range(cell + rows.start, cell + rows.stop), asked)
            return seen or (asked[:1] if whole else seen)

        first = piece.rows.start
        while first < piece.rows.stop:
            short = range(first, min(first + LEAST, piece.rows.stop))
            across = len(reached(short)) * (len(self._heads) if together else 1)
            tall = min(ROWS, max(LEAST, max(self._tile, PRODUCT) // max(1, across)))
            rows = range(first, min(first + tall, piece.rows.stop))
            first = rows.stop
            seen = reached(rows)
            if not seen:
                continue
            most = len(self._heads) if together else max(1, self._tile // (len(rows) * len(seen)))
            step = max(LEAST, self._tile // (min(most, len(self._heads)) * len(seen)))
            parts: list[_Part] = []
            for top in range(rows.start, rows.stop, step):
                some = range(top, min(top + step, rows.stop))
                keys = reach(mask, row, range(cell + some.start, cell + some.stop), seen) or seen[: int(whole)]
                if not keys:
                    continue
                hidden = list(self._hidden(mask, row, range(cell + some.start, cell + some.stop), keys))
                of_rows = slice(some.start - piece.rows.start, some.stop - piece.rows.start)
                parts.append(
                    _Part(
                        slice(some.start - rows.start, some.stop - rows.start),
                        range(keys.start - start, keys.stop - start),
                        hidden,
                        of_rows,
                        slice(of_rows.start + piece.first, of_rows.stop + piece.first),
                    )
                )
            for band in range(self._heads.start, self._heads.stop, most):
                heads = range(band, min(band + most, self._heads.stop))
                of_heads = slice(heads.start - self._heads.start, heads.stop - self._heads.start)
                keys = range(seen.start - start, seen.stop - start)
                yield _Block(segment, heads, rows, keys, of_heads, parts)

    def _hidden(self, mask: Mask, row: int, queries: range, keys: range) -> Iterator[tuple[slice, Tensor]]:
        """The chunks of columns in which the mask hides any key, and hidden_HQK there, with H = 1 if all heads see the
        same."""
        for left in range(0, len(keys) if mask.parts else 0, CHUNK):
            chunk = keys[left : left + CHUNK]
            border = hiding(mask, row, self._heads, queries, chunk)
            if border.parts:
                b, h, q, k = self._indices(range(row, row + 1), self._heads, queries, chunk)
                yield slice(left, left + len(chunk)), ~border.visible(b, h, q, k)[0]

    def _indices(self, *ranges: range) -> Iterator[Tensor]:
        """Index tensors of batch rows, heads, queries and keys, each along its own axis."""
        for axis, each in enumerate(ranges):
            shape = [1] * len(ranges)
            shape[axis] = len(each)
            yield torch.arange(each.start, each.stop, device=self._device).view(shape)

    def _buffer(self, number: int, H: int, Q: int, K: int) -> Tensor:
        """One of the reused, uninitialised buffers of a strip's shape."""
        count = H * Q * K
        if number not in self._room or self._room[number].numel() < count:
            size = 1 << (count - 1).bit_length()  # at most twice what is needed
            self._room[number] = torch.empty(size, dtype=self._dtype, device=self._device)
        return self._room[number][:count].view(H, Q, K)


def _key(segment: Segment) -> tuple[int, ...]:
    """A segment in its call's cache."""
    return segment.row, segment.queries.start, segment.count, segment.keys


def _group(segment: Segment) -> int:
    """Number of query heads that share one key head."""
    return segment.call.q_BHQD.shape[1] // segment.call.k_BGKD.shape[1]


def _groups(heads: range, group: int) -> Iterator[tuple[range, slice]]:
    """Runs of heads and their key heads: all at once if each has its own, or else the heads of one key head."""
    if group == 1:
        yield heads, slice(heads.start, heads.stop)
        return
    for key_head in range(heads.start // group, (heads.stop - 1) // group + 1):
        yield (
            range(max(heads.start, key_head * group), min(heads.stop, (key_head + 1) * group)),
            slice(key_head, key_head + 1),
        )


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
