"""A sweep as a table for the terminal and as JSON, and the grid that its table and its picture share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Effect, Sweep
from clearhead.drawing.colours import dark, hexed, signed
from clearhead.drawing.legible import legible, shortened
from clearhead.drawing.terminal import bar, coloured
from clearhead.errors import WatchError, many
from clearhead.language import mark, spoken
from clearhead.watching import Edit, Knockout, Patch
from clearhead.watching.notation import named, runs, spelled, to_dict
from clearhead.wrapping import filled, wrapped

# In terminal cells: a bar, a cell of the grid, and the widest name of an edit.
BAR, CELL, NAME = 16, 3, 44

# Entries in a table unless another number is asked for.
SHOWN = 10

SCHEMA, EFFECT_SCHEMA = "clearhead.sweep/1", "clearhead.effect/1"


@dataclass(frozen=True, kw_only=True)
class SweepGrid:
    """The changes of a sweep by two properties of its edits; None where there is no edit.

    across: what the columns are; values: rows from the first layer down; entries: the number of each in the sweep
    """

    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    entries: tuple[tuple[int | None, ...], ...]


def grid(found: Sweep) -> SweepGrid | None:
    """Layer by head, by place, by key, or by part, if each entry is one edit with a cell of its own; else None."""
    edits = [entry.edits[0] for entry in found.entries if len(entry.edits) == 1]
    if len(edits) < len(found.entries):
        return None
    by_name = {across: [column(edit) for edit in edits] for across, column in COLUMNS.items()}
    across = next((name for name, columns in by_name.items() if all(each is not None for each in columns)), None)
    if across is None:
        return None
    columns = by_name[across]
    several = len({edit.stack for edit in edits}) > 1
    rows = [(f"{edit.stack} " if several else "") + _row(edit, across) for edit in edits]
    cells = dict(zip(zip(rows, columns, strict=True), range(len(edits)), strict=True))
    if len(cells) < len(edits):
        return None
    order = sorted({each for each in columns if each is not None}, key=lambda each: (isinstance(each, str), each))
    lines = list(dict.fromkeys(rows))
    labels = [_label(found, across, each) for each in order]
    entries = tuple(tuple(cells.get((row, each)) for each in order) for row in lines)
    values = tuple(tuple(None if n is None else found.entries[n].change for n in line) for line in entries)
    return SweepGrid(across=across, rows=tuple(lines), columns=tuple(labels), values=values, entries=entries)


def _at(edit: Edit) -> int | None:
    at = None if isinstance(edit, Knockout) else edit.at
    return at[0] if isinstance(at, tuple) and len(at) == 1 and isinstance(at[0], int) else None


def _key(edit: Edit) -> int | None:
    return edit.key if isinstance(edit, Knockout) and isinstance(edit.key, int) else None


COLUMNS: dict[str, Callable[[Edit], int | str | None]] = {
    "place": _at,
    "key": _key,
    "head": lambda edit: edit.head,
    "part": lambda edit: edit.kind,
}


def _row(edit: Edit, across: str) -> str:
    if edit.kind == "embedding":
        return "embedding"
    head = f".{edit.head}" if across != "head" and edit.head is not None else ""
    kind = "" if across == "part" or edit.kind in ("self", "residual") else f" {edit.kind}"
    return f"layer {runs(edit.layer)}{head}{kind}"


def _label(found: Sweep, across: str, column: int | str) -> str:
    """A place by its token; by its number for a translator, whose edits have places of two texts."""
    one = found.source_text is None and across in ("place", "key")
    return legible(found.tokens[column]) if one and isinstance(column, int) else str(column)


class SweepTable:
    """A rich renderable: the edits that change the measure most, then the grid if it fits."""

    def __init__(self, found: Sweep, top: int = SHOWN) -> None:
        self._found, self._top = found, top

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        line = Text(legible(found.model), style="bold").append(mark(": "), "default") if found.model else Text()
        yield line.append(legible(found.heading), "bold")
        yield Text(spoken(f"{legible(found.measure)}: {found.base:.4f} without edits, at place {found.place}"))
        if found.by == "gradient":
            yield Text(spoken("Changes are predicted by the gradient, to first order."), "dim")
        yield Text()
        yield from self._entries()
        cells = grid(found)
        if cells is not None:
            yield Text()
            yield from _grid_lines(cells, options.max_width, shaded=coloured(console))

    def _entries(self) -> RenderResult:
        shown = self._found.top(self._top)
        names = [shortened(legible(entry.name), NAME) for entry in shown]
        wide = max(map(cell_len, names), default=0)
        most = max((abs(entry.change) for entry in shown), default=0.0) or 1.0
        for name, entry in zip(names, shown, strict=True):
            line = Text(name + " " * (wide - cell_len(name)) + "  ")
            line.append(bar(abs(entry.change) / most, BAR), "red" if entry.change < 0 else "cyan")
            yield line.append(f" {entry.change:+.4f}  {entry.value:.4f}")
        left = len(self._found.entries) - len(shown)
        others = f"; {many(left, 'other edit')} changed it less" if left else ""
        yield Text(spoken(f"change, and value under the edit{others}."), "dim")


def _grid_lines(cells: SweepGrid, width: int, *, shaded: bool) -> RenderResult:
    rows = list(map(spoken, cells.rows))
    name = max(map(cell_len, rows))
    count = (width - name - 1) // CELL
    if len(cells.columns) > count:
        told = f"The grid of {many(len(cells.columns), cells.across)} does not fit; --out draws it."
        yield Text(spoken(told), "dim")
        return
    labels = [shortened(label, CELL - 1) for label in cells.columns]
    head = " ".join(label + " " * (CELL - 1 - cell_len(label)) for label in labels)
    yield Text(f"{'':<{name}} {head} {spoken(cells.across)}".rstrip(), "dim")
    most = largest(cells)
    for row, values in zip(rows, cells.values, strict=True):
        line = Text(filled(row, name) + " ", "dim")
        shades = hexed(signed(np.array([value or 0.0 for value in values]), most))
        for value, colour in zip(values, shades, strict=True):
            text = " " * (CELL - 1) if value is None or abs(value) < most / 20 else f"{'+' if value > 0 else '-'} "
            line.append(text, "dim" if value is None else f"{'white' if dark(colour) else 'black'} on {colour}")
            line.append(" ")
        yield line
    full, plain = f"Full colour: a change of {most:.4g}; + more, - less.", f"+ more, - less; at most {most:.4g}."
    yield Text(spoken(full if shaded else plain), "dim")


def largest(cells: SweepGrid) -> float:
    """The largest change in the grid, in either direction; 1 if all are 0."""
    return max((abs(value) for row in cells.values for value in row if value is not None), default=0.0) or 1.0


def _with_texts(edit: Edit) -> str:
    """The edit in words; a patch with the text of its source, if that is known."""
    try:
        return spelled(edit) if isinstance(edit, Patch) else named(edit)
    except WatchError:
        return named(edit)


class EffectTable:
    """A rich renderable: each token with its probability before and after, then the divergence."""

    def __init__(self, found: Effect) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        line = Text(legible(found.model), style="bold").append(mark(": "), "default") if found.model else Text()
        yield line.append(spoken(f"what the edits change after place {found.place} of ")).append(
            legible(found.heading), "bold"
        )
        for edit in found.edits:
            yield Text(f"  {legible(_with_texts(edit))}")
        yield Text()
        labels = [shortened(legible(each.label), 20) for each in found.candidates]
        wide = max(5, *map(cell_len, labels))
        before, after = (set_cell_size(spoken(each), BAR + 7) for each in ("before", "after"))
        yield Text(f"{set_cell_size(spoken('token'), wide)}  {before}  {after}  logit", "bold")
        for label, each in zip(labels, found.candidates, strict=True):
            line = Text(label + " " * (wide - cell_len(label)) + "  ")
            for value, colour in ((each.before, "cyan"), (each.after, "magenta")):
                line.append(bar(value, BAR), colour).append(f" {value:.4f}  ")
            yield line.append(f"{each.logit_after - each.logit_before:+.3f}")
        for name, (before, after) in found.measures.items():
            yield Text(spoken(f"{legible(name)}: {before:.4f} before, {after:.4f} after, {after - before:+.4f}"))
        told = (
            f"KL(before || after) {found.kl:.4g} nats; entropy {found.entropy_before:.2f} before, "
            f"{found.entropy_after:.2f} after."
        )
        yield from wrapped(Text(spoken(told), "dim"), options.max_width)


def encoded(found: Sweep) -> bytes:
    """The sweep as JSON, in UTF-8: edits as plain values, and by name."""
    values: dict[str, Any] = {"schema": SCHEMA}
    values |= {name: getattr(found, name) for name in ("model", "text", "tokens", "place", "measure", "base", "by")}
    values["entries"] = [
        {"name": entry.name, "value": entry.value, "change": entry.change, "edits": _plain(entry.edits)}
        for entry in found.entries
    ]
    return _json(values)


def encoded_effect(found: Effect) -> bytes:
    """The effect as JSON, in UTF-8."""
    names = ("model", "text", "tokens", "place", "kl", "entropy_before", "entropy_after", "measures")
    values: dict[str, Any] = {"schema": EFFECT_SCHEMA} | {name: getattr(found, name) for name in names}
    values["edits"] = _plain(found.edits)
    values["candidates"] = [vars(each) for each in found.candidates]
    return _json(values)


def _plain(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    return [to_dict(edit) for edit in edits]


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()
