"""An attention map: behaves like a matrix of shape (Q, K), and is computed on demand, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import index
from typing import Literal, NamedTuple, SupportsIndex

from torch import Tensor

from clearhead.errors import WatchError, shown
from clearhead.notebook import Displayed
from clearhead.tap import Site
from clearhead.watching.cells import Cells, Image, Largest
from clearhead.watching.engine import name, shape, sweep
from clearhead.watching.finding import place_of
from clearhead.watching.measures import Distance, Entropy, First, Induction, Previous, Received, RowError, Sink
from clearhead.watching.passes import Segment
from clearhead.watching.reducers import Reducer
from clearhead.watching.tokenized import TokenizedText

# Weights in a block of rows: 2**20 float32 numbers are 4 MB.
BLOCK = 2**20

Index = SupportsIndex | slice | str


class Top(NamedTuple):
    """The largest weights of each query: ``weights`` (Q, n) in descending order and their ``keys`` (Q, n)."""

    weights: Tensor
    keys: Tensor


class AttentionMap(Displayed):
    """The weights (Q, K) of one head for one text. Rows sum to 1, or are zero if no key is visible.
    With an attention sink (``Score.sinks_H``) a row sums to less; the rest is its ``mass_on_sink``.

    All results are float32 (float64 for a float64 model), computed exactly from the stored q and k; under
    bfloat16 the fused kernels round the weights once more before multiplying by v. For measures of many heads, or
    several of one, ``TextRecord.measure`` is faster.
    """

    def __init__(self, segments: Sequence[Segment], *, head: int, texts: Callable[[str], TokenizedText]) -> None:
        self._segments = segments
        self._head = head
        self._texts = texts  # the text of each stack

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""
        return shape(self._segments)

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
        """The place of query row 0 in its text: 0 unless the watch began in the middle of a cached text."""
        first = self._segments[0]
        return first.call.seen.before(first.row)

    def __repr__(self) -> str:
        return name(self._segments, self._heads)

    def __getitem__(self, place: Index | tuple[Index, Index]) -> Tensor:
        """``a[i]`` a row (K,), ``a[:, j]`` a column (Q,), ``a[i, j]`` a weight, ``a[a:b, c:d]`` a tile.

        A place may be a word of the text, which stands for its last token: ``a[-1, "day"]``. Raises WatchError for a
        word that the text does not have, or has at several places.
        """
        row, column = place if isinstance(place, tuple) else (place, slice(None))
        rows, columns = self._rows(row), self._keys(column)
        tile_QK = self._tile(rows, columns)
        tile = tile_QK if isinstance(row, slice) else tile_QK[0]
        return tile if isinstance(column, slice) else tile[..., 0]

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """(query rows, weights_QK over all keys), a block of rows at a time."""
        Q, K = self.shape
        step = max(1, BLOCK // K)
        for start in range(0, Q, step):
            rows = slice(start, min(start + step, Q))
            yield rows, self._tile(rows, slice(0, K))

    def top(self, n: int) -> Top:
        """The ``n`` largest weights of each query and their key places, (Q, n) each.

        If a query sees fewer than ``n`` keys, hidden places with weight 0 fill the rest.
        """
        _, K = self.shape
        if not 1 <= n <= K:
            raise WatchError(f"{self!r}: the top {n} keys were asked for; there are {K}")
        largest = Largest(n)
        return Top(self._measured(largest), largest.keys_HQN[0])

    def entropy(self) -> Tensor:
        """Entropy of each row (Q,), in nats: 0 when one key takes all, log(n) when n keys share evenly."""
        return self._measured(Entropy())

    def mass_on_first(self) -> Tensor:
        """Weight of each row on key 0 (Q,), which is an attention sink if large (Xiao et al. 2023)."""
        return self._measured(First())

    @property
    def has_sink(self) -> bool:
        """True if the head has an attention sink, which is not a key (``Score.sinks_H``)."""
        return any(each.call.score.sinks_H is not None for each in self._segments)

    def mass_on_sink(self, row: SupportsIndex | str | None = None) -> Tensor:
        """Weight of each row on the head's attention sink (Q,), or of one row (): 1 minus the weight on all keys.

        0 in a head without a sink; 1 in a row that sees no key.
        """
        rows = slice(0, self.shape[0]) if row is None else self._rows(row)
        (sunk_1Q,) = sweep(self._segments, self._heads, [Sink()], rows=rows)
        return sunk_1Q[0] if row is None else sunk_1Q[0, rows.start]

    def mass_on_previous(self) -> Tensor:
        """Weight of each row on the place before its own (Q,); 0 at place 0."""
        return self._measured(Previous())

    def mass_on_induction(self, ids: Iterable[SupportsIndex]) -> Tensor:
        """Weight on the place after the last earlier occurrence of the row's own token (Q,); 0 if there is none.

        Large in an induction head (Olsson et al. 2022). ``ids`` are the token ids of all key places.
        """
        return self._measured(Induction(ids))

    def mean_distance(self) -> Tensor:
        """Expected distance in places from each query back to its keys (Q,); negative when it attends ahead."""
        return self._measured(Distance())

    def received(self) -> Tensor:
        """Weight each key receives, summed over the queries (K,)."""
        return self._measured(Received())

    def row_sum_error(self) -> float:
        """Largest distance of a row sum, sink included, from 1, over rows that see a key."""
        return float(self._measured(RowError()))

    def image(self, height: int, width: int, pool: Literal["max", "mean"] = "max") -> Tensor:
        """The map shrunk to at most (height, width), each cell the largest or mean weight it covers; never enlarged."""
        if pool not in ("max", "mean"):
            raise WatchError(f"{self!r}: pool is {pool!r}; it must be 'max' or 'mean'")
        if height < 1 or width < 1:
            raise WatchError(f"{self!r}: an image of {height} x {width} was asked for; both must be at least 1")
        return self._measured(Image(height, width, pool))

    @property
    def query_text(self) -> TokenizedText:
        """The whole text of the queries, even if its first rows were not watched."""
        return self._texts(self.site.stack)

    @property
    def key_text(self) -> TokenizedText:
        """The text of the keys: in cross-attention, the encoder's."""
        return self._texts(self.site.reads)

    def _rows(self, asked: Index) -> slice:
        Q, _ = self.shape
        if isinstance(asked, str):
            first, place = self.first_place, self._place(self.query_text, asked, "query")
            if not first <= place < first + Q:
                raise WatchError(
                    f"{self!r}: query {asked!r} is at place {place}; the map has the queries {first} to {first + Q - 1}"
                )
            asked = place - first
        return _span(asked, Q, "query")

    def _keys(self, asked: Index) -> slice:
        return _span(
            self._place(self.key_text, asked, "key") if isinstance(asked, str) else asked, self.shape[1], "key"
        )

    def _place(self, text: TokenizedText, word: str, axis: str) -> int:
        if not text.pieces:
            raise WatchError(f"{self!r}: {axis} is {word!r}, and the words of the text are not known; give its place")
        return place_of(text, word, repr(self), axis)

    @property
    def _heads(self) -> range:
        return range(self._head, self._head + 1)

    def _measured(self, measure: Reducer) -> Tensor:
        (found,) = sweep(self._segments, self._heads, [measure])
        return found[0]

    def _tile(self, rows: slice, columns: slice) -> Tensor:
        cells = Cells(rows, columns)
        (found_1QK,) = sweep(self._segments, self._heads, [cells], rows=rows, columns=columns)
        return found_1QK[0]


def _span(asked: SupportsIndex | slice, size: int, axis: str) -> slice:
    """The index as a slice with bounds, counted from the end when negative; raises IndexError outside the axis."""
    if not isinstance(asked, slice):
        try:
            place = index(asked)
        except TypeError:
            raise WatchError(
                f"{axis} {shown(asked)} was asked for; name it by its place, from 0 to {size - 1}, by a word of the "
                "text, or take a slice (record.tokens has the token of each place)"
            ) from None
        place += size if place < 0 else 0
        if not 0 <= place < size:
            there = f"there are {size}, from 0 to {size - 1} (-1 is the last)"
            raise IndexError(f"{axis} {index(asked)} was asked for; {there}")
        return slice(place, place + 1)
    try:
        start, stop, step = asked.indices(size)
    except TypeError:
        raise WatchError(
            f"{axis} {asked} was asked for; a slice is of places by number, from 0 to {size - 1}"
        ) from None
    if step != 1:
        raise IndexError(f"{axis} {asked} has step {step}; take a tile with step 1, then slice the result")
    return slice(start, max(start, stop))
