"""The engine behind every map: computes any number of measures in one sweep over the queries and keys of a site.

It computes weights in strips: some rows of some heads that every measure reads while they are in the processor's cache
(blocks.py). For sums over a row a strip has some of the keys, and earlier results are rescaled when a later strip may
have much larger logits: the online softmax (Milakov and Gimelshein 2018). If a measure needs whole rows, strips have
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from clearhead.attend.mask import Causal
from clearhead.attend.request import wide
from clearhead.errors import WatchError
from clearhead.watching.blocks import LEAST, Blocks, MapBlock, SegmentRows, StripRows, pieces
from clearhead.watching.passes import Segment
from clearhead.watching.reducers import Extent, Reducer, Risen, Strip, totals

# exp on a CPU is a hundred times slower if its result is subnormal. So weights that are within this many nats of the
# smallest normal number count as 0: what is kept stays normal even divided by the sum over 240,000 keys.
ROOM = 12.4

# If no logit can be this many nats above the largest in a row's first strip, that one stays the row's peak. The sums
# then lose no more to rounding than logits of this size do.
ABOVE = 30.0


def sweep(
    segments: Sequence[Segment],
    heads: range,
    measures: Sequence[Reducer],
    *,
    rows: slice | None = None,
    columns: slice | None = None,
) -> list[Tensor]:
    """Each measure's result, on the CPU, heads first. ``rows`` and, for Cells, ``columns`` limit what is computed.

    Raises WatchError if a row's logits are not finite.
    """
    queries, keys = shape(segments)
    with _exactly(segments):
        extent = _extent(segments, heads)
        for measure in measures:
            measure.start(extent)
        work = _Sweep(segments, heads, extent)
        together = any(each.needs == "heads" for each in measures)
        whole = together or any(each.needs == "row" for each in measures)
        for piece in pieces(segments, rows or slice(0, queries)):
            if columns is not None:
                strips = work.within(piece, range(keys)[columns])
            else:
                strips = work.over(piece, whole=whole, together=together)
            for strip in strips:
                for measure in measures:
                    measure.add(strip)
        return [measure.done().cpu() for measure in measures]


def side_by_side(
    one: Sequence[Segment], other: Sequence[Segment], heads: range, add: Callable[[Strip, Strip], None]
) -> None:
    """Calls ``add`` with each strip of whole rows of one map and the strip of the other that has the same cells.

    The maps have the same shape and hide the same keys. Raises WatchError if a row's logits are not finite.
    """
    with _exactly(one):
        mine, theirs = (_Sweep(each, heads, _extent(each, heads)) for each in (one, other))
        whole = slice(0, shape(one)[0])
        for a, b in zip(pieces(one, whole), pieces(other, whole), strict=True):
            for strips in zip(mine.over(a, whole=True), theirs.over(b, whole=True), strict=True):
                add(*strips)


@contextmanager
def _exactly(segments: Sequence[Segment]) -> Generator[None]:
    """Without gradients and autocast, which would round products to bfloat16."""
    autocast = torch.autocast(segments[0].call.q_BHQD.device.type, enabled=False)
    with torch.inference_mode(mode=False), torch.no_grad(), autocast:
        yield


def _extent(segments: Sequence[Segment], heads: range) -> Extent:
    queries, keys = shape(segments)
    call = segments[0].call
    dtype, device = wide(call.q_BHQD.dtype), call.q_BHQD.device
    return Extent(
        name(segments, heads),
        len(heads),
        queries,
        keys,
        None if call.two_texts else segments[0].first_place,
        not all(any(isinstance(part, Causal) for part in each.call.mask.parts) for each in segments),
        torch.zeros(len(heads), queries, dtype=dtype, device=device),
        torch.ones(len(heads), queries, dtype=dtype, device=device),
        torch.zeros(len(heads), queries, dtype=dtype, device=device),
    )


def shape(segments: Sequence[Segment]) -> tuple[int, int]:
    """(queries, keys) of a map."""
    return sum(each.count for each in segments), segments[-1].keys


def name(segments: Sequence[Segment], heads: range) -> str:
    """A name for the swept maps, for errors."""
    which = f"head {heads[0]}" if len(heads) == 1 else f"heads {heads[0]} to {heads[-1]}"
    return f"AttentionMap({segments[0].call.site}, {which}, shape {shape(segments)})"


class _Sweep:
    """Computes rows of some heads, one strip at a time."""

    def __init__(self, segments: Sequence[Segment], heads: range, extent: Extent) -> None:
        self._segments, self._heads, self._extent = segments, heads, extent
        self._dtype, self._device = extent.sums_HQ.dtype, extent.sums_HQ.device
        self._blocks = Blocks(heads, self._device)
        self._floor = math.log(torch.finfo(self._dtype).tiny) + ROOM
        self._lowest = torch.finfo(self._dtype).min / 4  # the peak before any key: finite, so that differences are
        self._room: dict[int, Tensor] = {}
        self._views: dict[tuple[int, int, int, int], Tensor] = {}
        self._wide: tuple[Segment, Tensor, Tensor] | None = None
        self._known_bounds: dict[Segment, tuple[Tensor, bool]] = {}
        self._steady = False

    def over(self, piece: SegmentRows, *, whole: bool, together: bool = False) -> Iterator[Strip]:
        """The strips of a piece over all keys; each strip has some of the keys, or all of them if ``whole``.

        With ``together``, the strips of all heads that follow one another have few rows (``Blocks.strips``).
        Raises WatchError, at the end, if a row's logits are not finite.
        """
        everything, norms_2HQ = range(piece.segment.keys), self._empty(piece)
        if whole:
            blocks = self._blocks.strips(piece, everything, whole=True, together=together)
        else:
            blocks = self._blocks.tiles(piece)
        yield from self._over(piece, blocks, norms_2HQ)

    def within(self, piece: SegmentRows, columns: range) -> Iterator[Strip]:
        """The strips over some columns. Raises WatchError, at the start, if a row's logits are not finite."""
        norms_2HQ = self._norms(piece)
        for block in self._blocks.strips(piece, columns) if columns else ():
            yield from self._strips(block, norms_2HQ, known=True)

    def _over(self, piece: SegmentRows, blocks: Iterator[MapBlock], norms_2HQ: Tensor) -> Iterator[Strip]:
        """The strips of blocks that together have all keys; fills in the rows' norms."""
        for block in blocks:
            yield from self._strips(block, norms_2HQ, known=False)
        self._keep(piece, norms_2HQ)

    def _norms(self, piece: SegmentRows) -> Tensor:
        """norms_2HQ of a piece's rows: those cached in the call, or else from a sweep of their own."""
        kept, key = piece.segment.call.norms, _key(piece.segment)
        if all((*key, head) in kept for head in self._heads):
            norms_2HQ = torch.stack([kept[*key, head] for head in self._heads], dim=1)
            return norms_2HQ[:, :, piece.rows.start : piece.rows.stop]
        norms_2HQ = self._empty(piece)
        for _ in self._over(piece, self._blocks.tiles(piece), norms_2HQ):
            pass
        return norms_2HQ

    def _empty(self, piece: SegmentRows) -> Tensor:
        """norms_2HQ before any key: each row's peak, its largest logit or the sink's, and the sum over its keys."""
        norms_2HQ = torch.zeros(2, len(self._heads), len(piece.rows), dtype=self._dtype, device=self._device)
        sinks_H1 = self._sinks(piece.segment, self._heads)
        norms_2HQ[0] = self._lowest if sinks_H1 is None else sinks_H1
        return norms_2HQ

    def _keep(self, piece: SegmentRows, norms_2HQ: Tensor) -> None:
        """Adds the sinks to the sums, checks them, and caches the norms in the call if they are of all its rows."""
        rows = slice(piece.first, piece.first + len(piece.rows))
        peak_HQ, sums_HQ = norms_2HQ
        peak_HQ.masked_fill_(peak_HQ == self._lowest, 0.0)
        self._extent.sums_HQ[:, rows] = sums_HQ
        sinks_H1 = self._sinks(piece.segment, self._heads)
        if sinks_H1 is not None:
            self._extent.sinks_HQ[:, rows] = torch.exp(sinks_H1 - peak_HQ)
        sums_HQ.copy_(totals(sums_HQ, self._extent.sinks_HQ[:, rows]))
        self._extent.totals_HQ[:, rows] = sums_HQ
        odd_H = sums_HQ.isnan().any(dim=1)
        if bool(odd_H.any()):
            head = self._heads[int(odd_H.int().argmax())]
            raise WatchError(
                f"{name(self._segments, range(head, head + 1))}: the logits are not finite; the model's queries or "
                "keys hold NaN or infinity"
            )
        if len(piece.rows) == piece.segment.count:
            key = _key(piece.segment)
            piece.segment.call.norms.update({(*key, head): norms_2HQ[:, n] for n, head in enumerate(self._heads)})

    def _strips(self, block: MapBlock, norms_2HQ: Tensor, *, known: bool) -> Iterator[Strip]:
        logits_HQK = self._buffer(0, len(block.heads), len(block.rows), len(block.keys))
        self._logits(block, logits_HQK)
        for part in block.parts:
            own_HQK = logits_HQK
            if len(block.parts) > 1:
                columns = slice(part.keys.start - block.keys.start, part.keys.stop - block.keys.start)
                own_HQK = logits_HQK[:, part.rows, columns]
            yield self._strip(block, part, own_HQK, norms_2HQ, known=known)

    def _strip(self, block: MapBlock, part: StripRows, logs_HQK: Tensor, norms_2HQ: Tensor, *, known: bool) -> Strip:
        """One strip from its logits, which it overwrites. Unless the norms are known, adds the strip's keys to them."""
        H, Q, K = logs_HQK.shape
        exps_HQK = self._buffer(1, H, Q, K)
        peak_HQ, total_HQ = norms_2HQ[:, block.of_heads, part.of_rows]
        for columns, hidden_HQK in part.hidden:
            own_HQK = hidden_HQK[block.of_heads] if hidden_HQK.shape[0] > 1 else hidden_HQK
            logs_HQK[:, :, columns].masked_fill_(own_HQK, -math.inf)
        most_HQ = risen = None
        if not known and not (block.later and self._steady):
            most_HQ = logs_HQK.amax(2)
            higher_HQ = torch.maximum(peak_HQ, most_HQ)
            if block.later:
                risen = Risen(higher_HQ - peak_HQ, torch.exp(peak_HQ - higher_HQ), total_HQ.clone())
                total_HQ.mul_(risen.scale_HQ)
            peak_HQ.copy_(higher_HQ)
        logs_HQK.sub_(peak_HQ[:, :, None])
        # Where nothing can be far below the peak, only hidden keys need the clamp. For few rows, asking costs more.
        deep = Q < LEAST or self._bounds(block.segment)[1]
        ends = [slice(0, K)] if deep else [columns for columns, _ in part.hidden]
        for columns in ends:
            logs_HQK[:, :, columns].clamp_(min=self._floor)
        torch.exp(logs_HQK, out=exps_HQK)
        for columns in ends:
            torch.threshold_(exps_HQK[:, :, columns], math.exp(self._floor) * 1.001, 0.0)
        sums_HQ = exps_HQK.sum(2)
        if not known:
            total_HQ.add_(sums_HQ)
            if not block.later:
                self._steady = not block.last and self._is_steady(block, peak_HQ)
        return Strip(
            block.of_heads,
            part.of_map,
            slice(part.keys.start, part.keys.stop),
            exps_HQK=exps_HQK,
            logs_HQK=logs_HQK,
            sums_HQ=sums_HQ,
            totals_HQ=total_HQ if known else None,
            peaks_HQ=peak_HQ,
            most_HQ=most_HQ,
            sinks_H1=self._sinks(block.segment, block.heads),
            risen=risen,
            buffer=lambda number: self._buffer(2 + number, H, Q, K),
        )

    def _is_steady(self, block: MapBlock, peak_HQ: Tensor) -> bool:
        """Whether no logit of these rows can be more than ABOVE their peak."""
        bounds_HQ = self._bounds(block.segment)[0][block.of_heads, block.rows.start : block.rows.stop]
        return bool((bounds_HQ - peak_HQ).amax() < ABOVE)

    def _sinks(self, segment: Segment, heads: range) -> Tensor | None:
        """The heads' sinks_H1."""
        sinks_H = segment.call.score.sinks_H
        return None if sinks_H is None else sinks_H[heads.start : heads.stop, None].to(self._dtype)

    def _logits(self, block: MapBlock, out_HQK: Tensor) -> None:
        """Writes the logits, of hidden keys too."""
        call, (q_HQD, k_GDK) = block.segment.call, self._tensors(block.segment)
        rows, keys = (slice(each.start, each.stop) for each in (block.rows, block.keys))
        factor = call.score.factor(q_HQD.shape[2])
        for some, keyed in _groups(block.heads, self._heads.start, _group(block.segment)):
            own_HQD, k_HDK = q_HQD[some, rows], k_GDK[keyed, :, keys]
            part_HQK = out_HQK[some.start - block.of_heads.start : some.stop - block.of_heads.start]
            torch.baddbmm(part_HQK, own_HQD, k_HDK.expand(len(own_HQD), -1, -1), beta=0, alpha=factor, out=part_HQK)
        if call.score.softcap is not None:
            out_HQK.copy_(call.score.capped(out_HQK))
        if call.score.bias_HN is not None:
            first = block.segment.first_place
            places = range(first + block.rows.start, first + block.rows.stop)
            out_HQK.add_(call.score.biases(places, block.keys, block.heads, self._dtype))

    def _tensors(self, segment: Segment) -> tuple[Tensor, Tensor]:
        """q_HQD of the sweep's heads and k_GDK of their key heads, in the dtype of the sweep."""
        if self._wide is None or self._wide[0] is not segment:
            heads, keyed = slice(self._heads.start, self._heads.stop), _key_heads(self._heads, _group(segment))
            q_HQD = segment.call.q_BHQD[segment.row, heads, segment.queries]
            k_GKD = segment.call.k_BGKD[segment.row, keyed, segment.start : segment.start + segment.keys]
            self._wide = segment, q_HQD.to(self._dtype), k_GKD.to(self._dtype).transpose(1, 2)
        return self._wide[1:]

    def _bounds(self, segment: Segment) -> tuple[Tensor, bool]:
        """bounds_HQ on a segment's logits, |q| |k| + |bias|, and whether a logit may be so far below its row's peak
        that its exp is subnormal."""
        if segment not in self._known_bounds:
            (q_HQD, k_GDK), group = self._tensors(segment), _group(segment)
            first = self._heads.start % group
            k_H = k_GDK.norm(dim=1).amax(1).repeat_interleave(group)[first : first + len(self._heads)]
            bounds_HQ = q_HQD.norm(dim=2) * k_H[:, None] * segment.call.score.factor(q_HQD.shape[2])
            bias_HN = segment.call.score.bias_HN
            if bias_HN is not None:
                bounds_HQ += bias_HN[self._heads.start : self._heads.stop].abs().amax(1, keepdim=True)
            bound, sinks_H1 = float(bounds_HQ.max()), self._sinks(segment, self._heads)
            sink = 0.0 if sinks_H1 is None else float(sinks_H1.max())
            self._known_bounds[segment] = bounds_HQ, not bound + max(bound, sink) < -self._floor
        return self._known_bounds[segment]

    def _buffer(self, number: int, H: int, Q: int, K: int) -> Tensor:
        """One of the reused, uninitialised buffers of a strip's shape."""
        view_HQK = self._views.get((number, H, Q, K))
        if view_HQK is None:
            count = H * Q * K
            if number not in self._room or self._room[number].numel() < count:
                size = 1 << (count - 1).bit_length()  # at most twice what is needed
                self._room[number] = torch.empty(size, dtype=self._dtype, device=self._device)
                self._views.clear()
            view_HQK = self._views[number, H, Q, K] = self._room[number][:count].view(H, Q, K)
        return view_HQK


def _key(segment: Segment) -> tuple[int, ...]:
    """The key of a segment in its call's cache of norms."""
    return segment.row, segment.queries.start, segment.count, segment.keys


def _group(segment: Segment) -> int:
    """Number of query heads that share one key head."""
    return segment.call.q_BHQD.shape[1] // segment.call.k_BGKD.shape[1]


def _key_heads(heads: range, group: int) -> slice:
    """The key heads of some query heads."""
    return slice(heads.start // group, (heads.stop - 1) // group + 1)


def _groups(heads: range, first: int, group: int) -> Iterator[tuple[slice, slice]]:
    """Runs of heads, counted from ``first``, and their key heads, counted from that head's: all at once if each has its
    own, or else the heads of one key head."""
    if group == 1:
        own = slice(heads.start - first, heads.stop - first)
        yield own, own
        return
    keyed = _key_heads(heads, group)
    for key_head in range(keyed.start, keyed.stop):
        start, stop = max(heads.start, key_head * group), min(heads.stop, (key_head + 1) * group)
        place = key_head - first // group
        yield slice(start - first, stop - first), slice(place, place + 1)
