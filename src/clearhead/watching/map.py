"""An attention map: behaves like a matrix of shape (Q, K) and is computed, block by block, when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import index
from typing import Literal, NamedTuple, SupportsIndex

import torch
from torch import Tensor

from clearhead.attend.request import logits, shares
from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching.passes import Segment

# Weights computed at a time: 2**20 float32 numbers are 4 MB, and a block of rows is one matrix product.
BLOCK = 2**20

Index = SupportsIndex | slice


class Top(NamedTuple):
    """The largest weights of each query: ``weights`` (Q, n) in descending order and their ``keys`` (Q, n)."""

    weights: Tensor
    keys: Tensor


class AttentionMap:
    """The weights of one head for one text, of shape (Q, K); rows sum to 1, or are zero where no key is visible.
    With an attention sink (``Score.sinks_H``) a row sums to less: the rest is its ``mass_on_sink``.

    All results are float32 (float64 for a float64 model), computed exactly from the stored q and k; under
    bfloat16 the fused kernels round the weights once more before they meet v.
    """

    def __init__(self, segments: Sequence[Segment], *, head: int) -> None:
        self._segments = segments
        self._head = head

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""
        return sum(each.count for each in self._segments), self._segments[-1].keys

    @property
    def site(self) -> Site:
        """Where in the model the map comes from."""
        return self._segments[0].call.site

    @property
    def head(self) -> int:
        """The query head, counted from 0."""
        return self._head

    @property
    def first_place(self) -> int:
        """The key place of query row 0 (0 unless the watch began in the middle of a cached text)."""
        return self._segments[0].first_place

    def __repr__(self) -> str:
        return f"AttentionMap({self.site}, head {self._head}, shape {self.shape})"

    def __getitem__(self, place: Index | tuple[Index, Index]) -> Tensor:
        """``a[i]`` a row (K,), ``a[:, j]`` a column (Q,), ``a[i, j]`` a weight, ``a[a:b, c:d]`` a tile."""
        row, column = place if isinstance(place, tuple) else (place, slice(None))
        Q, K = self.shape
        rows, columns = _span(row, Q, "query"), _span(column, K, "key")
        empty_QK = torch.zeros(0, columns.stop - columns.start)
        tile_QK = torch.cat([empty_QK, *(weights_QK[:, columns] for _, weights_QK, _ in self._blocks(rows))])
        tile = tile_QK if isinstance(row, slice) else tile_QK[0]
        return tile if isinstance(column, slice) else tile[..., 0]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """(query rows, weights_QK over all keys), a block of rows at a time."""
        return ((rows, weights_QK) for rows, weights_QK, _ in self._blocks(slice(0, self.shape[0])))

    def top(self, n: int) -> Top:
        """The ``n`` largest weights of every query and the key places they fall on, (Q, n) each.

        A query that sees fewer than ``n`` keys has places that it does not see behind them, with weight 0.
        """
        _, K = self.shape
        if not 1 <= n <= K:
            raise WatchError(f"{self!r}: the top {n} keys were asked for; there are {K}")
        tops = [torch.topk(weights_QK, n, dim=1) for _, weights_QK in self.blocks()]
        return Top(torch.cat([top.values for top in tops]), torch.cat([top.indices for top in tops]))

    def entropy(self) -> Tensor:
        """Entropy of every row (Q,), in nats: 0 when one key takes all, log(n) when n keys share evenly."""
        return self._rowwise(lambda rows, weights_QK: 0.0 - torch.xlogy(weights_QK, weights_QK).sum(1))  # not -0

    def mass_on_first(self) -> Tensor:
        """Weight of every row on key 0 (Q,): an attention sink where it is large (Xiao et al. 2023)."""
        return self._rowwise(lambda rows, weights_QK: weights_QK[:, 0])

    @property
    def has_sink(self) -> bool:
        """True when a part of every row lies on an attention sink, which is no key (``Score.sinks_H``)."""
        return any(each.call.score.sinks_H is not None for each in self._segments)

    def mass_on_sink(self, row: SupportsIndex | None = None) -> Tensor:
        """Weight of every row on the head's attention sink (Q,), or of one row (): what its keys leave of 1.

        0 in a head without one. 1 in a row that sees no key.
        """
        rows = slice(0, self.shape[0]) if row is None else _span(row, self.shape[0], "query")
        sunk_Q = torch.cat([sunk_Q for _, _, sunk_Q in self._blocks(rows)])
        return sunk_Q if row is None else sunk_Q[0]

    def mass_on_previous(self) -> Tensor:
        """Weight of every row on the place before its own (Q,); 0 at place 0."""
        return self._rowwise(lambda rows, weights_QK: _at(weights_QK, self._places(rows) - 1))

    def mass_on_induction(self, ids: Iterable[SupportsIndex]) -> Tensor:
        """Weight on the place after the last earlier occurrence of the row's own token (Q,); 0 where there is none.

        Large in an induction head (Olsson et al. 2022). ``ids`` are the token ids of all key places.
        """
        _, K = self.shape
        tokens = [index(token) for token in ids]  # plain numbers: elements of a tensor are never equal as dict keys
        if len(tokens) != K:
            raise WatchError(f"{self!r}: {len(tokens)} token ids were given for {K} key places")
        last: dict[int, int] = {}
        after = torch.full((K,), -1)
        for place, token in enumerate(tokens):
            after[place] = last.get(token, -2) + 1
            last[token] = place
        return self._rowwise(lambda rows, weights_QK: _at(weights_QK, after[self._places(rows)]))

    def mean_distance(self) -> Tensor:
        """Expected distance in places from each query back to the keys it reads (Q,); negative when it reads ahead."""
        k = torch.arange(self.shape[1])
        return self._rowwise(lambda rows, w_QK: (w_QK * (self._places(rows)[:, None] - k).to(w_QK)).sum(1))

    def received(self) -> Tensor:
        """Weight that every key receives, summed over the queries (K,)."""
        total_K = torch.zeros(self.shape[1])
        for _, weights_QK in self.blocks():
            total_K = total_K + weights_QK.sum(0)
        return total_K

    def row_sum_error(self) -> float:
        """Largest distance from 1 among the sums of rows that see a key, what lies on a sink counted."""
        whole = slice(0, self.shape[0])
        sums_Q = torch.cat([weights_QK.sum(1) + sunk_Q for _, weights_QK, sunk_Q in self._blocks(whole)])
        return float(torch.where(sums_Q != 0, sums_Q - 1, 0.0).abs().max())

    def image(self, height: int, width: int, pool: Literal["max", "mean"] = "max") -> Tensor:
        """The map shrunk to at most (height, width), each cell the largest or mean weight it covers; never enlarged."""
        if pool not in ("max", "mean"):
            raise WatchError(f"{self!r}: pool is {pool!r}; it must be 'max' or 'mean'")
        if height < 1 or width < 1:
            raise WatchError(f"{self!r}: an image of {height} x {width} was asked for; both must be at least 1")
        Q, K = self.shape
        height, width = min(height, Q), min(width, K)
        bin_Q, bin_K = torch.arange(Q) * height // Q, torch.arange(K) * width // K
        reduce = "amax" if pool == "max" else "sum"
        picture = torch.zeros(height, width)
        for rows, weights_QK in self.blocks():
            columns = bin_K.expand(weights_QK.shape[0], -1)
            shrunk = torch.zeros(weights_QK.shape[0], width).scatter_reduce_(1, columns, weights_QK.float(), reduce)
            picture.scatter_reduce_(0, bin_Q[rows, None].expand(-1, width), shrunk, reduce)
        cells = torch.bincount(bin_Q)[:, None] * torch.bincount(bin_K)[None, :]
        return picture if pool == "max" else picture / cells

    def _places(self, rows: slice) -> Tensor:
        if self.first_place < 0:
            raise WatchError(f"{self!r}: with more queries than keys they are two texts, and no distance lies between")
        return torch.arange(rows.start, rows.stop) + self.first_place

    def _rowwise(self, measure: Callable[[slice, Tensor], Tensor]) -> Tensor:
        return torch.cat([measure(rows, weights_QK) for rows, weights_QK in self.blocks()])

    def _blocks(self, asked: slice) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """(query rows, their weights_QK over all keys, and what lies on the sink, sunk_Q), a block at a time."""
        K, start = self.shape[1], 0
        for each in self._segments:
            first, last = max(asked.start, start), min(asked.stop, start + each.count)
            step = max(1, BLOCK // each.keys)
            for row in range(first, last, step):
                stop = min(row + step, last)
                weights_QK, sunk_Q = self._weights(each, slice(row - start, stop - start))
                later = K - each.keys  # places that came after this pass
                weights_QK = torch.nn.functional.pad(weights_QK, (0, later)) if later else weights_QK
                yield slice(row, stop), weights_QK, sunk_Q
            start += each.count

    def _weights(self, segment: Segment, rows: slice) -> tuple[Tensor, Tensor]:
        """Those of some of the segment's queries, and what lies on the sink, on the CPU."""
        call, head, b = segment.call, self._head, segment.row
        group = head // (call.q_BHQD.shape[1] // call.k_BGKD.shape[1])
        first = segment.queries.start + rows.start
        s_11QK = logits(
            call.q_BHQD[b : b + 1, head : head + 1, first : segment.queries.start + rows.stop],
            call.k_BGKD[b : b + 1, group : group + 1, segment.start : segment.start + segment.keys],
            call.mask,
            call.score,
            first_place=call.first_cell + first,
            first_row=b,
            first_head=head,
            first_key=segment.start,
        )
        sinks_H = call.score.sinks_H
        p_11QK, sunk_11Q1 = shares(s_11QK, None if sinks_H is None else sinks_H[head : head + 1])
        weights_QK = p_11QK[0, 0].cpu()
        if bool(weights_QK.isnan().any()):
            raise WatchError(f"{self!r}: the logits are not finite; the model's queries or keys hold NaN or infinity")
        sunk_Q = weights_QK.new_zeros(len(weights_QK)) if sunk_11Q1 is None else sunk_11Q1[0, 0, :, 0].cpu()
        return weights_QK, sunk_Q


def _span(asked: Index, size: int, axis: str) -> slice:
    """The index as a slice with bounds, counted from the end when negative; raises IndexError outside the axis."""
    if not isinstance(asked, slice):
        place = index(asked) + (size if index(asked) < 0 else 0)
        if not 0 <= place < size:
            raise IndexError(f"{axis} {index(asked)} was asked for; there are {size}")
        return slice(place, place + 1)
    start, stop, step = asked.indices(size)
    if step != 1:
        raise IndexError(f"{axis} places {asked} step by {step}; take a tile with step 1 and thin it out")
    return slice(start, max(start, stop))


def _at(weights_QK: Tensor, places_Q: Tensor) -> Tensor:
    """The weight of each row at its own given key place; 0 where the place is negative."""
    found_Q = weights_QK.gather(1, places_Q.clamp(min=0)[:, None])[:, 0]
    return torch.where(places_Q >= 0, found_Q, 0.0)
