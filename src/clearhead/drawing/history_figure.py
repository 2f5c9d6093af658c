"""How the heads of a run form, as a figure: for each measure a line for each head over the steps."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from clearhead.analysis import History
from clearhead.drawing.colours import QUERY_LIGHT
from clearhead.drawing.history_table import about, heading
from clearhead.drawing.legible import spelled
from clearhead.language import mark, spoken

# Inches of a panel, panels side by side, points, and heads that are named in each panel.
WIDE, HIGH, ACROSS, SIZE, NAMED = 3.1, 2.3, 4, 9.0, 5

# For the named heads (Okabe and Ito 2008: told apart by colour-blind readers too), and for the others.
COLOURS, OTHERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"), "#c9ced6"


def figure(found: History, lacking: set[str]) -> Figure:
    """The figure; ``lacking`` characters are spelled out."""
    panels = len(found.measures) + (found.loss is not None)
    across = min(ACROSS, panels)
    down = math.ceil(panels / across)
    width = max(5.0, across * WIDE)
    made = Figure(figsize=(width, down * HIGH + 0.9), layout="constrained")
    title = textwrap.fill(spelled(heading(found), lacking), int(width * 9))
    made.suptitle(f"{title}\n{about(found)}{mark('; ')}{spoken('named are those that change most')}", fontsize=SIZE + 2)
    axes: list[Any] = list(np.ravel(made.subplots(down, across, squeeze=False)))
    if found.loss is not None:
        own = axes.pop(0)
        own.plot(found.steps, found.loss, color=QUERY_LIGHT, linewidth=1.4)
        _dress(own, spoken("loss of the text, nats a token"))
        own.set_ylim(bottom=0)
    for measure in found.measures:
        _panel(axes.pop(0), found, measure)
    for unused in axes:
        unused.set_visible(False)
    return made


def _panel(axes: Any, found: History, measure: str) -> None:
    heads = found.formed(measure)
    for head in heads[NAMED:]:
        axes.plot(found.steps, _gaps(head.values), color=OTHERS, linewidth=0.6, zorder=1)
    for head, colour in zip(heads[:NAMED], COLOURS, strict=False):
        axes.plot(found.steps, _gaps(head.values), color=colour, linewidth=1.4, label=head.name)
    _dress(axes, spoken(measure))
    # Beside the panel, where it covers no line.
    axes.legend(fontsize=SIZE - 2, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, handlelength=1.0)


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _dress(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=SIZE, loc="left", fontweight="bold")
    axes.set_xlabel(spoken("step"), fontsize=SIZE - 1)
    axes.tick_params(labelsize=SIZE - 1.5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
