"""A picture of senses by matplotlib: the curves above, the planes below."""

from __future__ import annotations

import logging
import math
from io import BytesIO
from pathlib import Path

from clearhead.drawing.legible import code_point, legible, shortened, spelled
from clearhead.drawing.senses_parts import Chart, Picture, Plane
from clearhead.drawing.word_map import COLOURS, looks_of

log = logging.getLogger(__name__)

# Inches.
CHART, PLANE, WIDTH = 3.6, 2.6, 11.0
ROW = 5  # planes in a row
DPI = 120


def drawn(shown: Picture, path: Path) -> bytes:
    """The picture as .png or .svg; ``path`` is for its ending and for messages."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from clearhead.drawing import fonts

    lacking = fonts.lacking([shown.title, shown.heading, *shown.groups])
    if lacking:
        told = ", ".join(map(code_point, sorted(lacking)))
        log.info("%s: no font here has %s, so code points are drawn; .html uses the reader's own fonts", path, told)
    rows = math.ceil(len(shown.planes) / ROW)
    band = 0.25 * math.ceil(len(set(shown.groups)) / 6) + 0.3 if rows else 0.0
    heights = [CHART, *[PLANE] * rows]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.7 + 2 * band), dpi=DPI, layout="constrained")
    figure.suptitle(spelled(shortened(legible(shown.title), 90), lacking), fontsize=14, fontweight="bold")
    ratios = [CHART, PLANE * rows + 2 * band]
    upper, *below = figure.subfigures(2, 1, squeeze=False, height_ratios=ratios)[:, 0] if rows else [figure]
    for axes, chart in zip(upper.subplots(1, len(shown.charts), squeeze=False)[0], shown.charts, strict=True):
        _chart(axes, chart, shown)
    for part in below:
        part.suptitle(spelled(legible(shown.heading), lacking), fontsize=12)
        grid = part.subplots(rows, min(ROW, len(shown.planes)), squeeze=False).flatten()
        for axes in grid[len(shown.planes) :]:
            axes.set_axis_off()
        for axes, plane in zip(grid, shown.planes, strict=False):
            _plane(axes, plane, shown)
        handles, labels = grid[0].get_legend_handles_labels()
        names = [spelled(legible(label), lacking) for label in labels]
        part.legend(handles, names, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar sign is a dollar sign
    fonts.dress(figure)
    buffer = BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    with mpl.rc_context({"svg.hashsalt": "clearhead", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _chart(axes: object, chart: Chart, shown: Picture) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    places = list(range(len(shown.ticks)))
    for number, curve in enumerate(chart.curves):
        values = [math.nan if value is None else value for value in curve.values]
        axes.plot(
            places,
            values,
            color=COLOURS[number % len(COLOURS)],
            linestyle="--" if curve.level else "-",
            marker="" if curve.level else "o",
            markersize=4,
            label=legible(curve.name),
        )
    axes.set_title(legible(chart.title), fontsize=11, loc="left")
    axes.set_xticks(places, shown.ticks)
    axes.set_xlabel(legible(shown.axis), fontsize=8)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=1 + len(chart.curves) // 8)


def _plane(axes: object, plane: Plane, shown: Picture) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    axes.set_title(legible(plane.level), fontsize=10, loc="left")
    axes.set_xlabel(legible(plane.note), fontsize=8)
    axes.set(xticks=[], yticks=[])
    for group, (colour, shape) in looks_of(shown.groups).items():
        members = [number for number, its in enumerate(shown.groups) if its == group]
        if plane.panel is None:
            x, y = [0.0] * len(members), [0.0] * len(members)
        else:
            x, y = plane.panel.places_N2[members].T.tolist()
        axes.scatter(x, y, s=12, color=colour, marker=shape, label=group)
