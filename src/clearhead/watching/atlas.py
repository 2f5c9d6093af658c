"""The atlas of a text: every head of a record by every measure, as one table."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from clearhead.errors import OptionError, WatchError, nearest
from clearhead.language import spoken
from clearhead.tap import Site, short_names
from clearhead.watching.cells import Agreement
from clearhead.watching.measures import Given, named
from clearhead.watching.passes import Segment
from clearhead.watching.reducers import Reducer
from clearhead.watching.tokenized import TokenizedText
from clearhead.wrapping import aligned

SCHEMA = "clearhead.atlas/1"

# What the table says of each head, from measures.py and cells.py: a mean over the queries unless it says otherwise.
COLUMNS = {
    "entropy": "entropy of the weights, in nats",
    "largest": "largest weight",
    "first": "weight on the text's first token",
    "sink": "weight on the trained attention sink",
    "previous": "weight on the token before, from the second query on",
    "self": "weight on the query's own place",
    "induction": "weight on the place after the last earlier copy of the token, over queries that have one",
    "duplicate": "weight on earlier copies of the token, over queries that have one",
    "distance": "mean distance back, in tokens, below 0 if it looks ahead",
    "reach": "distance that holds 90 % of the weight, in tokens",
    "moved": "total size of what is moved: weights times norms of projected values",
    "received": "largest share of all weight that one key receives",
    "agreement": "cosine between this map and those of the layer's other heads, their mean",
}

# Columns that need the query's place among the keys, and columns that also need token ids.
PLACED, COPIED = ("previous", "self", "distance", "reach"), ("induction", "duplicate")


@dataclass(frozen=True)
class AtlasRow:
    """One head; ``values`` has a number for each column of the atlas, or None where it has no meaning.

    name: the layer and the head, ``4.11``, with what tells the site apart from others (``tap.short_names``)
    """

    site: Site
    head: int
    name: str
    values: dict[str, float | None]


@dataclass(frozen=True)
class Atlas:
    """Heads by measures (``COLUMNS``). Printed, it is a table.

    model: its name, if known. text: as given, if known. tokens: number of places
    """

    called: ClassVar[str] = "atlas"  # in errors
    schema: ClassVar[str] = SCHEMA
    meanings: ClassVar[Mapping[str, str]] = COLUMNS

    model: str | None
    text: str | None
    tokens: int
    columns: tuple[str, ...]
    rows: tuple[AtlasRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[AtlasRow]:
        return iter(self.rows)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, float | None]:
        """The values of a layer's head, if one site of that layer was measured."""
        found = [row for row in self.rows if (row.site.layer, row.head) == place]
        if len(found) != 1:
            fault = "more than one site has" if found else "there is no"
            raise WatchError(f"{self.called}: {fault} layer {place[0]}, head {place[1]}; see its rows")
        return found[0].values

    def by(self, column: str) -> Atlas:
        """The same atlas, sorted by a column in descending order; rows without a value come last.

        Raises OptionError for an unknown column.
        """
        check_order(column, None, self.columns, self.called)

        def order(row: AtlasRow) -> tuple[bool, float]:
            value = row.values[column]
            return value is None, -(value or 0.0)

        return replace(self, rows=tuple(sorted(self.rows, key=order)))

    def first(self, n: int | None) -> Atlas:
        """The same with only the first ``n`` rows, or all. Raises OptionError if ``n`` is below 1."""
        check_order(None, n, self.columns, self.called)
        return replace(self, rows=self.rows[:n])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        heads = [{"site": str(row.site), "layer": row.site.layer, "head": row.head, **row.values} for row in self.rows]
        about = {name: self.meanings[name] for name in self.columns}
        named = {"schema": self.schema, "model": self.model, "text": self.text, "tokens": self.tokens}
        return {**named, "columns": about, "heads": heads}

    def __str__(self) -> str:
        heads = [spoken("head"), *map(spoken, self.columns)]
        return "\n".join(aligned([heads, *([row.name, *self._shown(row)] for row in self.rows)]))

    def _repr_html_(self) -> str:
        """For notebooks."""
        head = "".join(f'<th title="{html.escape(self.meanings[name])}">{name}</th>' for name in self.columns)
        lines = (
            f"<tr><th>{row.name}</th>{''.join(f'<td>{value}</td>' for value in self._shown(row))}</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr><th>head</th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"

    def _shown(self, row: AtlasRow) -> list[str]:
        return [written(row.values[name]) for name in self.columns]


def check_order(
    column: str | None, n: int | None, columns: Collection[str] = tuple(COLUMNS), called: str = Atlas.called
) -> None:
    """Raises OptionError unless ``column`` is one of ``columns`` and ``n`` at least 1; either may be None."""
    if column is not None and column not in columns:
        raise OptionError(f"{called}: there is no column {column!r}{nearest(column, columns)}")
    if n is not None and n < 1:
        raise OptionError(f"{called}: the first {n} heads were asked for; ask for at least 1")


def written(value: float | None) -> str:
    """A value with three decimals, or one from 100 on; a dash for none."""
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


class Measured(Protocol):
    """What an atlas needs from the record of a text (``TextRecord``)."""

    tokens: list[str]
    text: str | None

    @property
    def model(self) -> str | None: ...
    def tokenized(self, stack: str) -> TokenizedText: ...
    def seen(self) -> list[Site]: ...
    def heads(self, site: Site) -> int: ...
    def segments(self, site: Site) -> Sequence[Segment]: ...
    def sizes(self, site: Site) -> Tensor: ...
    def has_sizes(self, site: Site) -> bool: ...
    def sweep(self, site: Site, *measures: Reducer) -> list[Tensor]: ...


def atlas(
    record: Measured,
    progress: Callable[[int, int], None] | None = None,
    columns: Collection[str] = tuple(COLUMNS),
) -> Atlas:
    """The atlas of a text; one sweep over the queries and keys of each site.

    Columns that have no meaning for any head are left out: ``sink`` without trained sinks, ``moved`` if no values were
    kept. ``progress`` is called with (sites done, sites). Only ``columns`` are computed. Raises OptionError for an
    unknown one.
    """
    for column in columns:
        check_order(column, None)
    names = short_names(record.seen())
    rows: list[AtlasRow] = []
    for done, (site, name) in enumerate(names.items(), 1):
        rows += _rows(record, site, name, columns)
        if progress is not None:
            progress(done, len(names))
    found = tuple(name for name in COLUMNS if any(row.values[name] is not None for row in rows))
    kept = tuple(replace(row, values={name: row.values[name] for name in found}) for row in rows)
    return Atlas(record.model, record.text, len(record.tokens), found, kept)


def _rows(record: Measured, site: Site, short: str, columns: Collection[str]) -> Iterator[AtlasRow]:
    """One row for each head of a site."""
    heads, (call, *_) = record.heads(site), [each.call for each in record.segments(site)]
    ids = record.tokenized(site.reads).ids
    without = {
        *(COLUMNS.keys() - columns),
        *((*PLACED, *COPIED) if call.two_texts else ()),
        *(() if ids else COPIED),
        *(("sink",) if call.score.sinks_H is None else ()),
        *(() if record.has_sizes(site) else ("moved",)),
        *(("agreement",) if heads == 1 else ()),
    }
    names = [name for name in COLUMNS if name not in without]
    given = Given(ids, partial(record.sizes, site))
    measures = [Agreement() if name == "agreement" else named(name, given) for name in names]
    places = _Places(record.segments(site), ids)
    swept = zip(names, record.sweep(site, *measures), strict=True)
    values = {name: places.of_heads(name, each) for name, each in swept}
    for head in range(heads):
        found = {name: values[name][head] if name in values else None for name in COLUMNS}
        yield AtlasRow(site, head, f"{short}.{head}", found)


class _Places:
    """Which queries a column's mean is over."""

    def __init__(self, segments: Sequence[Segment], ids: Sequence[int]) -> None:
        first, queries = segments[0].first_place, sum(each.count for each in segments)
        seen, copied = set[int](), list[bool]()
        for token in ids:
            copied.append(token in seen)
            seen.add(token)
        self._copied_Q = torch.tensor(copied[first : first + queries], dtype=torch.bool)
        self._from = 1 if first == 0 else 0  # place 0 has none before it

    def of_heads(self, name: str, found: Tensor) -> list[float | None]:
        """One number for each head from a measure's result."""
        if name == "received":
            return [*(found / found.sum(1, keepdim=True).clamp(min=1e-30)).amax(1).tolist()]
        if name == "agreement":
            return [*((found.sum(1) - found.diagonal()) / (len(found) - 1)).tolist()]
        if name in COPIED:
            found = found[:, self._copied_Q]
        elif name == "previous":
            found = found[:, self._from :]
        return [*found.double().mean(1).tolist()] if found.shape[1] else [None] * len(found)
