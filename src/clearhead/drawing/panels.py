"""The parts of a picture, each drawn in a box given in inches from the figure's top left corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.cells import cell_len

from clearhead.drawing.colours import HIDDEN, HIDDEN_LIGHT, QUERY_LIGHT, Weights, paint
from clearhead.drawing.embed import OnHead, head_count
from clearhead.drawing.legible import short, shortened
from clearhead.drawing.shrink import Shrinker
from clearhead.language import spoken
from clearhead.tap import Site, short_names
from clearhead.watching import TextRecord
from clearhead.watching.measures import RowError

Box = tuple[float, float, float, float]  # left, top, width, height in inches

DPI = 150
QUIET, LINE = "#4b5563", "#9ca3af"

# Widest tick label in terminal cells; in DejaVu Sans a cell is about 0.6 of the font size wide.
LABEL = 20
CELL = 0.6

# Map cells at least this wide, in inches, show their weight as a number.
WRITTEN = 0.5

# Inches below the bars: where the line to a key's name starts, bends twice and ends; and the top of the names.
LEADER, NAMES = (0.0, 0.04, 0.23, 0.27), 0.3

# The weights marked on the colour scale.
MARKS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)


class Canvas:
    """A figure measured in inches from its top left corner."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = (float(size) for size in figure.get_size_inches())

    def axes(self, box: Box) -> Axes:
        """Axes aligned to whole dots, so that no cell of an image falls between two dots."""
        left, top, width, height = (whole(size) for size in box)
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Draws text with its top left corner at this point."""
        self.figure.text(left / self.width, 1 - top / self.height, text, va="top", **style)


def whole(inches: float) -> float:
    """The nearest whole number of dots, in inches."""
    return round(inches * DPI) / DPI


def longest(labels: Sequence[str], size: float) -> float:
    """Width in inches of the longest tick label, at a font size in points."""
    return max(cell_len(shortened(label, LABEL)) for label in labels) * CELL * size / 72 + 0.12


def small_cells(side: float) -> int:
    """The most cells in a head of the grid: one dot each."""
    return round(side * DPI) - _gap(side)


def large_cells(side: float) -> int:
    """The most cells in the large head: three dots each, since single dots vanish on a projector."""
    return round(side * DPI) // 3


def heads(
    record: TextRecord, small: Shrinker, side: float, progress: OnHead
) -> tuple[list[list[npt.NDArray[np.uint8]]], float, bool]:
    """The small images, dots (side, side, 3), by site; the largest row-sum error; whether any shows a hidden key."""
    dots = small_cells(side)
    images: list[list[npt.NDArray[np.uint8]]] = []
    error, done, hides = 0.0, 0, False
    for site in record.seen():
        rows, columns = (np.arange(dots) * size // dots for size in small.size(site))
        pictures_HYX, error_H = record.sweep(site, small.measure(site), RowError())
        error = max(error, float(error_H.max()))
        images.append([])
        for image in small.marked(site, pictures_HYX):
            images[-1].append(paint(image)[rows][:, columns])
            hides = hides or bool((image == HIDDEN).any())
            done += 1
            progress(done, head_count(record))
    return images, error, hides


def grid(
    canvas: Canvas,
    box: Box,
    images: Sequence[Sequence[npt.NDArray[np.uint8]]],
    sites: Sequence[Site],
    lines: int,
    large: tuple[int, int],
) -> None:
    """Draws all heads as one image, dot for dot, with ``lines`` lines per layer; frames the enlarged head.

    With one line per layer, layers and heads are numbered along the edges; with several, each head is named above.
    """
    most = math.ceil(max(map(len, images)) / lines)  # heads per line
    rows = len(sites) * lines
    side = box[2] / most
    pitch, line, gap = round(side * DPI), round(box[3] / rows * DPI), _gap(side)
    band = line - pitch
    mosaic = np.full((rows * line, most * pitch, 3), 255, dtype=np.uint8)
    for layer, of_layer in enumerate(images):
        for head, image in enumerate(of_layer):
            row, column = layer * lines + head // most, head % most
            y, x = row * line + band + gap // 2, column * pitch + gap // 2
            mosaic[y - 1 : y + image.shape[0] + 1, x - 1 : x + image.shape[1] + 1] = 0xB0
            mosaic[y : y + image.shape[0], x : x + image.shape[1]] = image
    axes = canvas.axes(box)
    axes.imshow(mosaic, interpolation="nearest", extent=(0, most, rows, 0), aspect="auto")
    _bare(axes)
    if lines == 1:
        _number(axes, sites, most, side)
    else:
        names = short_names(sites)
        axes.set(xticks=[], yticks=[])
        for layer, of_layer in enumerate(images):
            for head in range(len(of_layer)):
                x, y = head % most + 0.5, layer * lines + head // most + (band - 3) / line  # clear of the frame
                name = f"{names[sites[layer]]}.{head}"
                axes.text(x, y, name, ha="center", va="bottom", fontsize=9, color=QUIET)
    corner = (large[1] % most, large[0] * lines + large[1] // most + band / line)
    frame = Rectangle(corner, 1, pitch / line, fill=False, edgecolor=QUERY_LIGHT, linewidth=2.2, clip_on=False)
    axes.add_patch(frame)


def _number(axes: Axes, sites: Sequence[Site], most: int, side: float) -> None:
    size = min(11.0, side * 72 * 0.42)
    step = 1 if side * 72 > 2.2 * size else 2
    axes.set_xticks(np.arange(0, most, step) + 0.5, [str(n) for n in range(0, most, step)], fontsize=size)
    axes.set_yticks(np.arange(len(sites)) + 0.5, list(short_names(sites).values()), fontsize=size)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2, colors=QUIET)


def scale(canvas: Canvas, left: float, top: float, width: float, *, hides: bool) -> None:
    """Draws the colour scale with its marks and, if the picture hides keys, their colour."""
    length = whole(min(4.0, width * 0.72))
    axes = canvas.axes((left, top, length, 0.2))
    along = np.linspace(0, 1, round(length * DPI))
    axes.imshow(paint(along[None] ** 2), interpolation="nearest", extent=(0, 1, 1, 0), aspect="auto")
    _bare(axes)
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE)
    axes.set_yticks([])
    axes.set_xticks([math.sqrt(mark) for mark in MARKS], [f"{mark:g}" for mark in MARKS], fontsize=10, color=QUIET)
    axes.tick_params(length=3, color=LINE)
    canvas.text(
        left, top + 0.5, spoken("weight; the colour follows its square root, from 0 to 1 in every picture"), size=10,
        color=QUIET,
    )  # fmt: skip
    if not hides:
        return
    swatch = canvas.axes((left + length + 0.25, top, 0.2, 0.2))
    swatch.set_facecolor(HIDDEN_LIGHT)
    swatch.set(xticks=[], yticks=[])
    for spine in swatch.spines.values():
        spine.set_color(LINE)
    canvas.text(left + length + 0.53, top, spoken("hidden from\nthe query"), size=10, color=QUIET, linespacing=1.05)


def matrix(
    canvas: Canvas,
    box: Box,
    image: Weights,
    labels: tuple[Sequence[str], Sequence[str]],
    first_place: int,
    query: int,
    keys: Sequence[int],
    size: float,
) -> None:
    """Draws one head: keys from left to right, queries from top to bottom, the query's row outlined.

    labels: of the queries' text, and of the keys' (which may be the same)
    """
    K, cell = len(labels[1]), box[2] / len(labels[1])
    axes = _cells(canvas, box, image, labels, first_place, ([query], keys), size)
    # zorder: above the lines between cells
    outline = Rectangle((-0.5, query - 0.5), K, 1, fill=False, edgecolor=QUERY_LIGHT, clip_on=False, zorder=5)
    outline.set_linewidth(2.2 if cell * DPI >= 10 else 0.9)  # a thick line would cover a thin row
    axes.add_patch(outline)


def table(canvas: Canvas, box: Box, image: Weights, labels: tuple[Sequence[str], Sequence[str]], size: float) -> None:
    """Draws weights as cells, with a label for each row and each column."""
    _cells(canvas, box, image, labels, 0, ([], []), size)


def _cells(
    canvas: Canvas,
    box: Box,
    image: Weights,
    labels: tuple[Sequence[str], Sequence[str]],
    first_place: int,
    marked: tuple[Sequence[int], Sequence[int]],
    size: float,
) -> Axes:
    """Cells with labels, and their weights where these fit. marked: rows and columns whose labels are coloured."""
    own, read = labels
    rows, columns = marked
    Q, K = len(own) - first_place, len(read)
    axes = canvas.axes(box)
    extent = (-0.5, K - 0.5, first_place + Q - 0.5, first_place - 0.5)
    axes.imshow(paint(image), interpolation="nearest", extent=extent, aspect="auto")
    for spine in axes.spines.values():
        spine.set_color(LINE)
    cell = box[2] / K
    across = [*columns, *rows] if own is read else columns
    _token_ticks(axes, own, range(first_place, first_place + Q), rows, box[3] / Q, size, axis="y")
    _token_ticks(axes, read, range(K), across, cell, size, axis="x")
    axes.xaxis.tick_top()
    axes.tick_params(length=2, pad=2, color=LINE)
    if cell * DPI >= 14:
        axes.set_xticks(np.arange(1, K) - 0.5, minor=True)
        axes.set_yticks(np.arange(first_place + 1, first_place + Q) - 0.5, minor=True)
        axes.grid(which="minor", color="#e5e7eb", linewidth=0.6)
        axes.tick_params(which="minor", length=0)
    if cell >= WRITTEN and image.shape == (Q, K):
        for row, column in zip(*np.nonzero(image != HIDDEN), strict=True):
            weight = float(image[row, column])
            ink = "white" if weight > 0.3 else "#111827"
            axes.text(column, row + first_place, short(weight), ha="center", va="center", color=ink, fontsize=11)
    return axes


def strip(
    canvas: Canvas,
    box: Box,
    weights_K: npt.NDArray[Any],
    named: Sequence[tuple[int, float]],
    labels: Sequence[str],
) -> None:
    """Draws a row of weights as bars; names the keys in ``named``, (key, weight) pairs, with their weights."""
    K = len(weights_K)
    axes = canvas.axes(box)
    axes.set(xlim=(-0.5, K - 0.5), ylim=(0, max(float(weights_K.max()), 1e-6) * 1.08))
    thick = max(1.0, min(40.0, box[2] / K * 72 * 0.7))
    shown = np.flatnonzero(weights_K)
    axes.vlines(shown, 0, weights_K[shown], colors=QUERY_LIGHT, linewidths=thick)
    axes.set_xticks([])
    ticks = {0.0: "0", float(weights_K.max()): short(float(weights_K.max()))} if shown.size else {0.0: "0"}
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=10, color=QUIET)
    axes.tick_params(length=2, color=LINE)
    for name, spine in axes.spines.items():
        spine.set(visible=name in ("left", "bottom"), color=LINE)
    names = [f"{shortened(labels[key], LABEL)}\n{short(weight, 3)}" for key, weight in named]
    order = sorted(range(len(names)), key=lambda n: named[n][0])
    wide = [max(map(cell_len, names[n].split("\n"))) * CELL * 10 / 72 + 0.2 for n in order]
    wanted = [(named[n][0] + 0.5) * box[2] / K for n in order]
    across = axes.get_xaxis_transform()  # x in key places, y as a fraction of the box's height
    for n, centre in zip(order, spread(wanted, wide, box[2]), strict=True):
        key, place = named[n][0], centre / box[2] * K - 0.5
        # A line bends above all labels and ends above its own. Labels are in the order of the keys, so no lines cross.
        bends = [-depth / box[3] for depth in LEADER]
        axes.plot([key, key, place, place], bends, transform=across, clip_on=False, color=LINE, linewidth=0.8)
        axes.text(place, -NAMES / box[3], names[n], transform=across, ha="center", va="top", fontsize=10)


def spread(wanted: Sequence[float], widths: Sequence[float], length: float) -> list[float]:
    """Label centres near the wanted ones (ascending), without overlap and, if possible, within 0..length."""
    centres: list[float] = []
    edge = 0.0
    for want, wide in zip(wanted, widths, strict=True):
        centres.append(max(want, edge + wide / 2))
        edge = centres[-1] + wide / 2
    edge = max(length, sum(widths))
    for n in reversed(range(len(centres))):
        centres[n] = min(centres[n], edge - widths[n] / 2)
        edge = centres[n] - widths[n] / 2
    return centres


def label_step(places: int, side: float, size: float) -> int:
    """Label every n-th token: the least n at which labels of this font size, in points, do not touch."""
    return max(1, math.ceil(size * 1.25 / (side * 72 / places)))


def _token_ticks(
    axes: Axes,
    labels: Sequence[str],
    places: range,
    marked: Sequence[int],
    pitch: float,
    size: float,
    *,
    axis: str,
) -> None:
    """Labels every n-th place. Marked places come first, in their order; others near them get no label."""
    step = label_step(len(places), pitch * len(places), size)
    taken: list[int] = []
    for place in [*marked, *range(places.start, places.stop, step)]:
        if place in places and all(abs(place - other) >= step for other in taken):
            taken.append(place)
    side = axes.xaxis if axis == "x" else axes.yaxis
    texts = side.set_ticks(sorted(taken), [shortened(labels[place], LABEL) for place in sorted(taken)])
    for tick, place in zip(texts, sorted(taken), strict=True):
        text = tick.label2 if axis == "x" else tick.label1
        text.set_fontsize(size)
        if axis == "x":
            text.set_rotation(90)
        if place in marked:
            text.set(color=QUERY_LIGHT, fontweight="bold")


def _gap(side: float) -> int:
    return max(4, round(side * DPI * 0.06))


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
