"""An atlas as a picture: for each measure a grid with one row per layer and one column per head."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from rich.text import Text

from clearhead.drawing import fonts, panels, saving
from clearhead.drawing.atlas_grid import HeadGrid, grids
from clearhead.drawing.colours import paint
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.panels import DPI, LINE, QUIET, Canvas, whole
from clearhead.errors import many
from clearhead.language import spoken
from clearhead.watching import Atlas
from clearhead.wrapping import wrapped

# Inches. The widest grid and the largest cell; what stands above a grid, and between two.
WIDEST, CELL, ABOVE, GAP, MARGIN = 3.4, 0.32, 0.75, 0.45, 0.3
LEAST = 0.06  # a cell
ACROSS = 4  # grids side by side


def encoded(atlas: Atlas, path: Path) -> bytes:
    """The picture as .png or .svg."""
    png = path.suffix.lower() == ".png"
    title = legible(atlas.text or "") or spoken("atlas")
    model = legible(atlas.model or "")
    if png:
        lacking = fonts.lacking([title, model])
        title, model = spelled(title, lacking), spelled(model, lacking)
    figure = drawn(atlas, title, model)
    return saving.png(figure, DPI) if png else saving.svg(figure, DPI, title)


def drawn(atlas: Atlas, title: str, model: str) -> Figure:
    """The figure, at DPI dots per inch."""
    made = grids(atlas)
    heads, layers = made[0].values_LH.shape[1], made[0].values_LH.shape[0]
    cell = whole(max(LEAST, min(CELL, WIDEST / heads)))
    names = max(0.3, panels.longest(made[0].layers, min(9.0, cell * 72 * 0.6)))  # room for those of the layers
    across, down = max(2.0, heads * cell) + names - 0.3, layers * cell
    columns = min(ACROSS, len(made))
    lines = math.ceil(len(made) / columns)
    width = whole(2 * MARGIN + columns * (across + GAP) + 0.2)
    top = MARGIN + 0.95
    height = whole(top + lines * (down + ABOVE + 0.3) + 0.5)
    canvas = Canvas(Figure(figsize=(width, height), dpi=DPI))
    fits = int((width - 2 * MARGIN) * 72 / (16 * panels.CELL))
    canvas.text(MARGIN, MARGIN, shortened(title, fits), size=16, weight="bold")
    about = [model] if model else []
    about += [
        many(len({(row.site.stack, row.site.layer) for row in atlas.rows}), "layer"),
        many(len(atlas.rows), "head"),
        many(atlas.tokens, "token"),
    ]
    canvas.text(MARGIN, MARGIN + 0.38, " · ".join(map(spoken, about)), size=12, color=QUIET)
    for number, grid in enumerate(made):
        left = MARGIN + names + number % columns * (across + GAP)
        _grid(canvas, grid, left, top + number // columns * (down + ABOVE + 0.3), cell)
    note = (
        "One row per layer, one column per head, counted from 0; dark is much. Weights and shares: the colour "
        "follows the square root, from 0 to 1. The others: evenly, from 0, or the least value below it, to the most."
    )
    for n, line in enumerate(wrapped(Text(spoken(note)), int((width - 2 * MARGIN) * 13))):
        canvas.text(MARGIN, height - 0.5 + 0.2 * n, line.plain, size=9.5, color=QUIET)
    return canvas.figure


def _grid(canvas: Canvas, grid: HeadGrid, left: float, top: float, cell: float) -> None:
    layers, heads = grid.values_LH.shape
    canvas.text(left, top, spoken(grid.column), size=12, weight="bold")
    low, high = grid.span
    span = spoken(f"{low:.3g} to {high:.3g}; most in {grid.most}")
    canvas.text(left, top + 0.24, span, size=9.5, color=QUIET)
    axes = canvas.axes((left, top + ABOVE, heads * cell, layers * cell))
    axes.imshow(_colours(grid), interpolation="nearest", extent=(0, heads, layers, 0), aspect="auto")
    for spine in axes.spines.values():
        spine.set_color(LINE)
    size = min(9.0, cell * 72 * 0.6)
    step = max(1, math.ceil(9.0 * 1.3 / (cell * 72)))
    axes.set_xticks(np.arange(0, heads, step) + 0.5, [str(n) for n in range(0, heads, step)], fontsize=max(6.0, size))
    axes.set_yticks(np.arange(0, layers, step) + 0.5, grid.layers[::step], fontsize=max(6.0, size))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2, colors=QUIET)


def _colours(grid: HeadGrid) -> npt.NDArray[np.uint8]:
    """RGB (layers, heads, 3); grey where there is no head or no value."""
    shade_LH = grid.shades_LH
    colours = paint(np.nan_to_num(shade_LH) ** 2)  # paint takes the root
    colours[np.isnan(shade_LH)] = 0xE5
    return colours
