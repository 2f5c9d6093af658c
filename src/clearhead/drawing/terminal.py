"""What each head attends to at one query, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.drawing.focus import head_name, matching, query_row
from clearhead.drawing.legible import legible, scientific, short, shortened
from clearhead.drawing.row import MapRow, readings
from clearhead.language import mark, spoken
from clearhead.tap import short_names
from clearhead.watching import Record, TextRecord
from clearhead.wrapping import wrapped

EIGHTHS = " ▏▎▍▌▋▊▉█"

# Most keys per row; minimum and maximum width of a label and of a bar, in terminal cells.
KEYS, LABEL, BAR = 8, (6, 16), (3, 8)

# Places listed on either side of the query.
AROUND = 24

# Most tokens of an answer in a table.
ANSWER = 64


class AttentionTable:
    """A rich renderable: the query in its text, one line per head, and a legend. Fits any width from 60 cells."""

    _first, _about = "head", "head: layer.head, counted from 0"  # the first column's heading, and its legend

    def __init__(self, record: TextRecord, row: int, readings: Sequence[MapRow], model: str | None) -> None:
        self._record, self._row, self._readings = record, row, readings
        self._model = model or record.model

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._heading(options.max_width)
        yield Text()
        yield from self._lines(options.max_width)
        yield Text()
        yield from self._legend(options.max_width)

    def _heading(self, width: int) -> RenderResult:
        tokens, place = self._record.tokens, self._row + self._record.first_place(self._readings[0].site)
        line = Text(legible(self._model), style="bold").append(mark(": "), "default") if self._model else Text()
        line.append(spoken(f"what place {place} "))
        line.append("“").append(legible(tokens[place]), "bold reverse").append("”")
        line.append(
            spoken(f" attends to, of {len(tokens):,} tokens" if len(tokens) != 1 else " attends to, the only token")
        )
        yield line
        yield from _listing(tokens, width, place)
        for stack in sorted({reading.site.reads for reading in self._readings} - {self._record.stack}):
            yield Text(spoken(stack) + mark(": ").rstrip(), "bold")
            yield from _listing(self._record.tokenized(stack).tokens, width)

    def _names(self) -> list[str]:
        names = short_names(self._record.seen())
        return [f"{names[reading.site]}.{reading.head}" for reading in self._readings]

    def _lines(self, width: int) -> RenderResult:
        stacks = {reading.site.reads for reading in self._readings}
        labels = {stack: [legible(token) for token in self._record.tokenized(stack).tokens] for stack in stacks}
        names = self._names()
        headings = [spoken(each) for each in ("nats", "1st", "prev", "dist", "sink")][: 5 if self._has_sinks else 4]
        measures = [_measures(reading)[: len(headings)] for reading in self._readings]
        widths = [max(cell_len(headings[n]), *(len(row[n]) for row in measures)) for n in range(len(headings))]
        first = spoken(self._first)
        name = max(cell_len(first), *map(cell_len, names))
        shape = _Cell.fit(self._readings, labels, width - name - sum(widths) - len(widths) - 2)
        heading = set_cell_size(first, name + 2)
        heading += set_cell_size(spoken("attends most to"), shape.width * shape.keys + 2 * (shape.keys - 1))
        lined = (" " * (w - cell_len(text) + 1) + text for text, w in zip(headings, widths, strict=True))
        yield Text(heading + "".join(lined), "bold")
        for head, reading, row in zip(names, self._readings, measures, strict=True):
            line = Text(head + " " * (name - cell_len(head)), "bold")
            for n in range(shape.keys):
                line.append("  ")
                line.append_text(shape.draw(reading, n, labels))
            yield line.append("".join(f" {text:>{w}}" for text, w in zip(row, widths, strict=True)))

    @property
    def _has_sinks(self) -> bool:
        return any(reading.sink is not None for reading in self._readings)

    def _legend(self, width: int) -> RenderResult:
        within = f"sum to 1 within {scientific(max(reading.error for reading in self._readings))}."
        sums = f"The weights of a row {within}"
        if self._has_sinks:
            sums = f"sink: weight on the attention sink, which is not a token. With it, rows {within}"
        told = (
            f"{self._about}; attends most to: place, token, weight. nats: entropy of the row; 1st, prev: "
            f"weight on the first token and on the one before; dist: mean distance back, in tokens. {sums}"
        )
        yield from wrapped(Text(spoken(told), style="dim"), width)


class AnswerTable(AttentionTable):
    """One head, with a line for each row from ``row`` to the end of the text."""

    _first, _about = "token", "token: its place and the token"

    def _heading(self, width: int) -> RenderResult:
        site, head = self._readings[0].site, self._readings[0].head
        line = Text(legible(self._model), style="bold").append(mark(": "), "default") if self._model else Text()
        about = f"what each token of the answer attends to, {head_name(self._record, site, head)}"
        yield line.append(spoken(about))
        count = self._record.map(site, head).shape[0] - self._row
        if len(self._readings) < count:
            yield Text(spoken(f"the last {len(self._readings)} of its {count:,} tokens"), "dim")

    def _names(self) -> list[str]:
        tokens = self._record.tokens
        places = range(len(tokens) - len(self._readings), len(tokens))
        return [f"{place} {shortened(legible(tokens[place]), LABEL[1])}" for place in places]


class _Cell:
    """The layout of one key: place, label, bar, weight."""

    def __init__(self, *, keys: int, place: int, label: int, bar: int) -> None:
        self.keys, self.place, self.label, self.bar = keys, place, label, bar

    @property
    def width(self) -> int:
        return self.place + 1 + self.label + 1 + self.bar + 1 + 4

    @classmethod
    def fit(cls, readings: Sequence[MapRow], labels: Mapping[str, Sequence[str]], width: int) -> _Cell:
        """As many keys as fit with legible labels; then labels and bars as wide as the remaining room allows.

        labels: of the tokens, by stack
        """
        keys = [(reading.site.reads, key) for reading in readings for key in reading.keys]
        most = max((len(reading.keys) for reading in readings), default=1)
        place = max((len(str(key)) for _, key in keys), default=1)
        longest = max((cell_len(labels[stack][key]) for stack, key in keys), default=1)
        cell = cls(keys=1, place=place, label=min(longest, LABEL[0]), bar=BAR[0])
        cell.keys = max(1, min(most, (width + 2) // (cell.width + 2)))
        room = (width + 2) // cell.keys - 2 - cell.width
        wider = max(0, min(room, min(longest, LABEL[1]) - cell.label))
        cell.label += wider
        cell.bar += max(0, min(room - wider, BAR[1] - BAR[0]))
        return cell

    def draw(self, reading: MapRow, n: int, labels: Mapping[str, Sequence[str]]) -> Text:
        if n >= len(reading.keys):
            return Text(" " * self.width)
        key, weight = reading.keys[n], reading.weights[n]
        label = shortened(labels[reading.site.reads][key], self.label)
        text = Text(f"{key:>{self.place}} ", "dim")
        text.append(label + " " * (self.label - cell_len(label)) + " ", "default")
        text.append(bar(weight, self.bar), "cyan")
        return text.append(f" {short(weight)}", "default")


def table_of_attention(
    record: Record | TextRecord,
    query: int | str | None = None,
    *,
    layer: int | None = None,
    head: int | None = None,
    model: str | None = None,
) -> AttentionTable:
    """A rich renderable: what each head, of one layer or one head, attends to at ``query``. Print it with rich.

    query: a place (negative: from the end) or a word of the text; None for the last place
    Raises OptionError for a query, layer or head that does not exist.
    """
    record = record.only()
    row = query_row(record, query)
    among = matching(record, layer=layer, head=head)
    return AttentionTable(record, row, readings(record, among, range(row, row + 1), KEYS), model)


def table_of_answer(
    record: Record | TextRecord, start: int, *, layer: int, head: int, model: str | None = None
) -> AttentionTable:
    """A rich renderable: what one head attends to from ``start`` to the end, at most in the last ANSWER rows.

    Raises OptionError for a layer or head that does not exist.
    """
    record = record.only()
    among = [each for each in matching(record, layer=layer, head=head) if each[0].kind == "self"]
    last = record.map(*among[0]).shape[0]
    rows = range(max(start, last - ANSWER), last)
    return AnswerTable(record, start, readings(record, among, rows, KEYS), model)


def coloured(console: Console) -> bool:
    """Whether colours are shown: not in a file or a pipe, nor with NO_COLOR."""
    return console.color_system is not None and not console.no_color


def bar(weight: float, cells: int) -> str:
    """A horizontal bar of a weight from 0 to 1 in eighths of a cell, padded to ``cells``."""
    eighths = min(round(weight * cells * 8), cells * 8)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[part] if part else "")).ljust(cells)


def _measures(reading: MapRow) -> tuple[str, ...]:
    sink = "" if reading.sink is None else short(reading.sink)
    previous = "-" if reading.previous is None else short(reading.previous)
    distance = "-" if reading.distance is None else f"{reading.distance:.1f}"
    return f"{reading.entropy:.2f}", short(reading.first), previous, distance, sink


def _listing(tokens: Sequence[str], width: int, place: int | None = None) -> RenderResult:
    """The tokens with their places, wrapped; a line never breaks between a place and its token.

    place: highlighted, with AROUND tokens on either side; None for the first tokens
    """
    start = 0 if place is None else max(0, place - AROUND)
    stop = min(len(tokens), (2 * AROUND if place is None else place + AROUND) + 1)
    items = [Text(spoken(f"… {start:,} before"), "dim")] if start else []
    for n in range(start, stop):
        token = Text(legible(tokens[n]), "bold reverse" if n == place else "default")
        items.append(Text.assemble((f"{n} ", "dim"), token))
    items += [Text(spoken(f"{len(tokens) - stop:,} after …"), "dim")] if stop < len(tokens) else []
    line = items[0]
    for item in items[1:]:
        if line.cell_len + 2 + item.cell_len > width:
            yield line
            line = item
        else:
            line = Text.assemble(line, "  ", item)
    yield line
