"""The logit lens as a figure: layers from bottom to top, places from left to right."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.cells import cell_len

from clearhead.analysis import Lens
from clearhead.drawing import colours
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.lens_table import heading
from clearhead.drawing.next_table import named
from clearhead.language import spoken

# Inches and points; terminal cells of a label.
CELL, HIGH, EDGES, SIZE, LABEL = (0.5, 1.15), 0.32, (1.3, 1.5), 9.0, 12

# Places drawn, the last ones; a page or a JSON file has all.
PLACES = 40


def texts(found: Lens) -> list[str]:
    """Everything that is written on the figure."""
    return [heading(found), found.tokenized.text or "", *found.tokenized.tokens, *found.labels.values()]


def figure(found: Lens, lacking: set[str]) -> Figure:
    """The figure; ``lacking`` characters are spelled out."""
    first = max(0, len(found.tokenized.tokens) - PLACES)
    p_RT = np.flipud(found.p_RTN[:, first:, 0].numpy())

    def label(token: str) -> str:
        return spelled(shortened(legible(token), LABEL), lacking)

    shown = [[label(found.labels[token]) for token in row] for row in reversed(found.ids_RTN[:, first:, 0].tolist())]
    tokens = [label(token) for token in found.tokenized.tokens[first:]]
    widest = max(cell_len(each) for row in (tokens, *shown) for each in row)
    cell = min(CELL[1], max(CELL[0], 0.075 * widest + 0.1))
    rows, places = p_RT.shape
    width = max(6.0, EDGES[0] + cell * places)
    made = Figure(figsize=(width, EDGES[1] + HIGH * rows), layout="constrained")
    made.suptitle(spelled(shortened(heading(found), int(width * 9)), lacking), fontsize=SIZE + 2, fontweight="bold")
    axes: Any = made.subplots()
    axes.imshow(colours.paint(p_RT), aspect="auto", interpolation="nearest")
    for y in range(rows):
        for x in range(places):
            ink = "white" if p_RT[y, x] > 0.25 else "black"
            axes.text(x, y, shown[y][x], ha="center", va="center", color=ink, fontsize=SIZE - 1)
    axes.set_yticks(range(rows), [spoken(named(site)) for site in reversed(found.sites)], fontsize=SIZE)
    axes.set_xticks(range(places), tokens, fontsize=SIZE, rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    note = "the likeliest token there; the colour follows the square root of its probability"
    cut = f"; the last {places} of {len(found.tokenized.tokens):,} places" if first else ""
    axes.set_xlabel(spoken(note + cut), fontsize=SIZE)
    return made
