"""What each part adds to a logit, as a figure: layers from bottom to top, heads and the other parts side by side."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from clearhead.analysis import LogitParts
from clearhead.drawing import colours
from clearhead.drawing.legible import spelled
from clearhead.drawing.parts_table import heading
from clearhead.language import spoken

# Inches and points.
CELL, HIGH, EDGES, LEAST, SIZE = 0.48, 0.3, (1.6, 1.9), 7.5, 9.0

HEADS = {"head": "head 0", "cross_head": "cross-\nhead 0"}
OTHERS = {"feed_forward": "feed-\nforward", "layer": "layer", "bias": "biases"}  # broken, since a column is narrow


def figure(found: LogitParts, lacking: set[str]) -> Figure:
    """The figure; ``lacking`` characters are spelled out."""
    layers = 1 + max((share.layer for share in found.shares if share.layer is not None), default=0)
    counts = {kind: 1 + max((share.head or 0 for share in found.of(kind)), default=-1) for kind in HEADS}
    firsts = {"head": 0, "cross_head": counts["head"]}
    heads = sum(counts.values())
    others = [kind for kind in OTHERS if any(share.kind == kind and share.layer is not None for share in found.shares)]
    columns = [
        *(str(head) for kind in HEADS for head in range(counts[kind])),
        *(spoken(OTHERS[kind]) for kind in others),
    ]
    # The embedding below the first layer, what comes after the last one above it.
    values = np.full((layers + 2, len(columns)), np.nan)
    ends = {0: 0.0, layers + 1: 0.0}
    for share in found.shares:
        row = 0 if share.kind == "embedding" else layers + 1 if share.layer is None else share.layer + 1
        if row in ends:
            ends[row] += share.value
        else:
            column = heads + others.index(share.kind) if share.head is None else firsts[share.kind] + share.head
            values[row, column] = share.value
    largest = float(np.nanmax(np.abs([*values.flatten(), *ends.values()])))
    for row, value in ends.items():
        values[row, :] = value
    width = max(LEAST, EDGES[0] + CELL * len(columns))
    made = Figure(figsize=(width, EDGES[1] + HIGH * (layers + 2)), layout="constrained")
    title = textwrap.fill(spelled(heading(found), lacking), int(width * 9))
    made.suptitle(title, fontsize=SIZE + 2, fontweight="bold")
    axes: Any = made.subplots()
    painted = colours.signed(np.nan_to_num(values), largest)
    axes.imshow(painted, aspect="auto", interpolation="nearest", origin="lower")
    for row in range(layers + 2):
        cells = [(len(columns) - 1) / 2] if row in ends else range(len(columns))
        for x in cells:
            value = ends[row] if row in ends else values[row, int(x)]
            if not np.isnan(value):
                ink = "white" if abs(value) > 0.6 * largest else "black"
                axes.text(x, row, f"{value:+.2f}", ha="center", va="center", fontsize=SIZE - 2, color=ink)
    names = [*map(spoken, ("embedding", *(f"layer {layer}" for layer in range(layers)), "after the last"))]
    axes.set_yticks(range(layers + 2), names, fontsize=SIZE)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for kind, name in HEADS.items():
        if counts[kind]:
            columns[firsts[kind]] = spoken(name)
    axes.set_xticks(range(len(columns)), columns, fontsize=SIZE)
    added = f"what each part adds directly, the norms' scales held: {found.total:.4f} in all"
    axes.set_xlabel(spoken(f"{added}\nthe logit of the pass is {found.logit:.4f}"), fontsize=SIZE)
    return made
