"""The picture: a grid of all heads beside one large head with its tokens. Uses matplotlib without pyplot."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure
from rich.text import Text

from clearhead.drawing import panels
from clearhead.drawing.embed import OnHead, head_count
from clearhead.drawing.focus import Focus, head_name, stacks, title
from clearhead.drawing.legible import code_point, legible, scientific, short, shortened, spelled
from clearhead.drawing.panels import DPI, Box, Canvas
from clearhead.drawing.row import MapRow, read
from clearhead.drawing.shrink import Shrinker
from clearhead.errors import many
from clearhead.language import current, spoken
from clearhead.tap import short_names
from clearhead.watching import TextRecord
from clearhead.wrapping import wrapped

# Inches. Smallest and largest side of a head in the grid; in between, the grid is GRID wide or as tall as the rest.
SMALL, GRID = (0.42, 4.4), 8.0
# A layer's heads may take several lines of the grid, as long as they keep this fraction of their size: a flat grid
# leaves half of the picture empty. Head names need BAND above each line.
MUCH_SMALLER, BAND = 0.8, 0.18
# Smallest and largest side of the large head; in between, LARGEST_CELL per token; LONG from 1,000 tokens on.
LARGE, LARGEST_CELL, LONG = (4.5, 8.0), 0.9, 9.0
MARGIN, TITLE, HEADING, STRIP, STRIP_LABELS, NOTE = 0.3, 0.95, 0.8, 1.0, 0.75, 0.23
GRID_LABELS, SCALE, SCALE_WIDTH, LEAST_WIDTH = (0.45, 0.3), 1.1, 5.2, 14.0

# Points. Smallest and largest token labels; in between, the largest that do not touch.
LABEL_SIZES = (8.0, 13.0)
TITLE_SIZE, NOTE_SIZE = 16, 9.5

# Keys named under the bars: at most TOP_KEYS; after the first, only those with a weight of at least NAMED.
TOP_KEYS, NAMED = 5, 0.005

# The hint under "All heads": with one line per layer, and with several.
IN_ROWS, IN_LINES = "one row per layer, one column per head", "layer.head, counted from 0"


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The title, subtitle and token labels of a picture."""

    title: str
    subtitle: str
    labels: dict[str, tuple[str, ...]]  # by stack, for each place: "4 ·server"
    stand_in: str | None = None  # drawn for a character that no font has: "<U+1F600>"

    def without(self, characters: Collection[str]) -> Captions:
        """The captions with these characters, which no font has, written as code points."""
        return Captions(
            title=spelled(self.title, characters),
            subtitle=spelled(self.subtitle, characters),
            labels={
                stack: tuple(spelled(label, characters) for label in labels) for stack, labels in self.labels.items()
            },
            stand_in=code_point(min(characters)) if characters else None,
        )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All positions, in inches from the top left corner; boxes are (left, top, width, height)."""

    width: float
    cell: float  # side of a head in the grid
    lines: int  # per layer in the grid
    grid: Box
    matrix: Box
    strip: Box
    label_size: float  # points
    bottom: float  # where the notes begin

    @classmethod
    def of(cls, layers: Sequence[str], heads: int, own: Sequence[str], read: Sequence[str]) -> Layout:
        """The layout for these layer names, ``heads`` heads per layer, and the token labels of the queries' text
        (``own``) and of the keys' (``read``)."""
        places = max(len(own), len(read))
        side = panels.whole(LONG if places >= 1000 else _between(LARGE, LARGEST_CELL * places))
        label_size = _between(LABEL_SIZES, side * 72 / places / 1.3)
        longest = panels.longest([*own, *read], label_size)
        names = max(GRID_LABELS[0], panels.longest(layers, 11.0))
        top = MARGIN + TITLE + HEADING
        lines, fits = _lines(len(layers), heads, longest + 0.15 + side - GRID_LABELS[1])
        cell = panels.whole(_between(SMALL, fits))
        line = cell + (BAND if lines > 1 else 0)
        across = math.ceil(heads / lines) * cell
        grid = (MARGIN + names, top + GRID_LABELS[1], across, len(layers) * lines * panels.whole(line))
        left = grid[0] + max(grid[2], SCALE_WIDTH) + 0.75 + longest
        matrix = (left, top + longest + 0.15, side, side)
        strip = (left, matrix[1] + side + 0.25, side, STRIP)
        return cls(
            width=panels.whole(max(left + side + MARGIN + 0.25, LEAST_WIDTH)),
            cell=cell,
            lines=lines,
            grid=grid,
            matrix=matrix,
            strip=strip,
            label_size=label_size,
            bottom=max(grid[1] + grid[3] + SCALE, strip[1] + STRIP + STRIP_LABELS) + 0.2,
        )


def _lines(layers: int, heads: int, height: float) -> tuple[int, float]:
    """Lines per layer for a grid of this height, and the side of a head; at most one cell of a layer stays empty."""
    fits: dict[int, float] = {}
    for lines in range(1, heads + 1):
        across = math.ceil(heads / lines)
        if across * lines - heads <= 1:
            fits[lines] = min(GRID / across, height / (layers * lines) - (BAND if lines > 1 else 0))
    least = MUCH_SMALLER * max(fits.values())
    lines = max(lines for lines, side in fits.items() if side >= least)
    return lines, fits[lines]


def captions(record: TextRecord, model: str | None) -> Captions:
    """The captions for a record, before characters without a font are replaced."""
    texts = {stack: record.tokenized(stack) for stack in stacks(record)}
    layers = len({(site.stack, site.layer) for site in record.seen()})
    about = [legible(model)] if model else []
    about += [
        f"{many(layers, 'layer')}, {many(head_count(record), 'head')}",
        " and ".join(many(len(each.tokens), "token") for each in texts.values()),
    ]
    return Captions(
        title=title(record),
        subtitle=" · ".join(map(spoken, about)),  # spaces alone collapse in an SVG
        labels={
            stack: tuple(f"{place} {legible(token)}" for place, token in enumerate(each.tokens))
            for stack, each in texts.items()
        },
    )


def draw(record: TextRecord, focus: Focus, drawn: Captions, progress: OnHead) -> Figure:
    """Draws the figure at DPI dots per inch. ``progress`` is called with (heads done, heads)."""
    sites = record.seen()
    most = max(record.heads(site) for site in sites)
    own, read = drawn.labels[focus.site.stack], drawn.labels[focus.site.reads]
    layout = Layout.of(list(short_names(sites).values()), most, own, read)
    small = Shrinker(record, panels.small_cells(layout.cell))
    large = Shrinker(record, panels.large_cells(layout.matrix[2]))
    heads, error, hides = panels.heads(record, small, layout.cell, progress)
    step = panels.label_step(max(len(own), len(read)), layout.matrix[2], layout.label_size)
    notes = _notes(record, focus, small, large, step, error, drawn)
    fits = int((layout.width - 2 * MARGIN) * 13)
    lines = [line.plain for note in notes for line in wrapped(Text(note), fits)]
    height = panels.whole(layout.bottom + NOTE * len(lines) + MARGIN)
    canvas = Canvas(Figure(figsize=(layout.width, height), dpi=DPI))

    _headings(canvas, layout, record, focus, drawn)
    panels.grid(canvas, layout.grid, heads, sites, layout.lines, (sites.index(focus.site), focus.head))
    panels.scale(canvas, layout.grid[0], layout.grid[1] + layout.grid[3] + 0.3, SCALE_WIDTH, hides=hides)
    reading = _top(record, focus)
    image, first = large.image(focus.site, focus.head), record.first_place(focus.site)
    place = focus.row + first
    panels.matrix(canvas, layout.matrix, image, (own, read), first, place, reading.keys, layout.label_size)
    row = record.map(focus.site, focus.head)[focus.row].numpy()
    panels.strip(canvas, layout.strip, row, list(zip(reading.keys, reading.weights, strict=True)), read)
    for n, line in enumerate(lines):
        canvas.text(MARGIN, layout.bottom + NOTE * n, line, size=NOTE_SIZE, color=panels.QUIET)
    return canvas.figure


def _headings(canvas: Canvas, layout: Layout, record: TextRecord, focus: Focus, drawn: Captions) -> None:
    fits = int((layout.width - 2 * MARGIN) * 72 / (TITLE_SIZE * panels.CELL))
    canvas.text(MARGIN, MARGIN, shortened(drawn.title, fits), size=TITLE_SIZE, weight="bold")
    canvas.text(MARGIN, MARGIN + 0.38, drawn.subtitle, size=12, color=panels.QUIET)
    labels = [*drawn.labels[focus.site.stack], *drawn.labels[focus.site.reads]]
    over_matrix = layout.matrix[0] - panels.longest(labels, layout.label_size)
    for left, heading, hint in (
        (MARGIN, "All heads", IN_ROWS if layout.lines == 1 else IN_LINES),
        (
            over_matrix,
            spoken(head_name(record, focus.site, focus.head)).replace("layer", "Layer", 1),
            "each row is a query token, each column a token it attends to",
        ),
    ):
        canvas.text(left, MARGIN + TITLE, spoken(heading), size=13, weight="bold")
        canvas.text(left, MARGIN + TITLE + 0.27, spoken(hint), size=10, color=panels.QUIET)


def _top(record: TextRecord, focus: Focus) -> MapRow:
    reading = read(record, focus.site, focus.head, focus.row, TOP_KEYS)
    kept = max(1, sum(weight >= NAMED for weight in reading.weights))
    return replace(reading, keys=reading.keys[:kept], weights=reading.weights[:kept])


def _notes(
    record: TextRecord, focus: Focus, small: Shrinker, large: Shrinker, step: int, error: float, drawn: Captions
) -> list[str]:
    """The notes under the picture, one string per paragraph."""
    own, read = drawn.labels[focus.site.stack], drawn.labels[focus.site.reads]
    chosen = "the requested head"
    if focus.among is not None:
        group = "all heads" if focus.among == "all" else f"the heads of {focus.among}"
        chosen = (
            f"among {group}, the one with the most weight ({short(focus.far, 3)}) beyond the first token, the query "
            "and its neighbours"
        )
    query = shortened(own[focus.row + record.first_place(focus.site)], panels.LABEL)
    sums = f"in all heads, rows sum to 1 within {scientific(error)}."
    if any(record.map(site, 0).has_sink for site in record.seen()):
        sink = float(record.map(focus.site, focus.head).mass_on_sink(focus.row))
        sums = (
            f"rows sum to at most 1, since part of the weight is on each head's attention sink, which is not a token "
            f"({short(sink, 3)} in the query's row); with it, {sums}"
        )
    told = (
        f"Large: {chosen}. Outlined: the query ({query}), with the weights of its row below. "
        f"Weights are computed exactly; {sums}"
    )
    notes = [spoken(told)]
    limits: list[str] = []
    for name, shrinker, sites in (("the grid", small, record.seen()), ("the large head", large, [focus.site])):
        tall, wide = shrinker.covers(sites)
        if (tall, wide) != (1, 1):
            limits.append(spoken(f"A cell of {name} shows the largest of up to {tall} x {wide} weights."))
    if step > 1:
        limits.append(
            spoken(f"Every {_nth(step)} token is labelled; the query's top keys take precedence, the strongest first.")
        )
    if any(shortened(label, panels.LABEL) != label for label in [*own, *read]):
        limits.append(spoken("Labels and titles that end in … are cut."))
    if drawn.stand_in is not None:
        limits.append(spoken(f"Code points such as {drawn.stand_in} stand for characters that no font here has."))
    return [*notes, " ".join(limits)] if limits else notes


def _between(limits: tuple[float, float], value: float) -> float:
    return min(limits[1], max(limits[0], value))


def _nth(number: int) -> str:
    if current() != "en":
        return str(number)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number % 100 in (11, 12, 13) else f"{number}{ending}"
