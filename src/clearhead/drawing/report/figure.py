"""The charts of a report as a .png or .svg picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.text import Text

from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible, spelled
from clearhead.drawing.report.blocks import Bars, Curves, Heatmap, Report
from clearhead.drawing.report.page import WORDS
from clearhead.drawing.word_map import COLOURS
from clearhead.files import replacing
from clearhead.language import current
from clearhead.wrapping import wrapped

PANEL = (5.4, 3.9)  # inches
DPI = 110
LINE = 110  # terminal cells of a line of the verdict


def draw_report(report: Report, path: str | Path) -> None:
    """Draws the title, the verdict and every chart of a report to a .png or .svg file (extra ``plot``).

    The report is in the current language. Raises OptionError for another ending, FolderError if the file cannot be
    written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_ending(path, PLOTTED)
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, saving

    charts = [each for each in report.blocks if isinstance(each, Curves | Bars | Heatmap)]
    across = min(2, max(1, len(charts)))
    down = max(1, -(-len(charts) // across))
    figure = Figure(figsize=(PANEL[0] * across, PANEL[1] * down + 1.3), dpi=DPI, layout="constrained")
    says = phrases(WORDS, current())
    verdict = Text(f"{says[report.holds]}{says['gap']}{legible(report.verdict)}")
    said = [legible(report.title), *(line.plain for line in wrapped(verdict, LINE if across == 2 else LINE // 2))]
    lacking = fonts.lacking(said)
    figure.suptitle(spelled("\n".join(said), lacking), fontsize=11, x=0.02, ha="left", parse_math=False)
    for number, chart in enumerate(charts):
        axes = figure.add_subplot(down, across, number + 1)
        axes.set_title(spelled(legible(chart.title), fonts.lacking([chart.title])), loc="left", fontsize=10)
        match chart:
            case Curves():
                _curves(axes, chart)
            case Bars():
                _bars(axes, chart)
            case Heatmap():
                _grid(axes, chart)
    made = saving.png(figure, DPI) if path.suffix.lower() == ".png" else saving.svg(figure, DPI, report.title)
    with replacing(path) as file:
        file.write(made)


def _curves(axes: Any, chart: Curves) -> None:
    for number, curve in enumerate(chart.curves):
        axes.plot(
            curve.x,
            curve.y,
            color=COLOURS[number % len(COLOURS)],
            linestyle="--" if curve.level else "-",
            marker="" if curve.level else "o",
            markersize=3.5,
            label=legible(curve.name),
        )
    if chart.log:
        axes.set_xscale("log", base=2)
        points = sorted({x for curve in chart.curves for x in curve.x})
        axes.set_xticks(points, [f"{x:,g}" for x in points], fontsize=8)
        axes.minorticks_off()
    if chart.ticks:
        axes.set_xticks(range(len(chart.ticks)), list(map(legible, chart.ticks)), fontsize=8)
    if chart.from_zero:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(legible(chart.x), fontsize=9)
    axes.set_ylabel(legible(chart.y), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, ncols=1 + len(chart.curves) // 7)


def _bars(axes: Any, chart: Bars) -> None:
    places = list(range(len(chart.labels)))
    axes.barh(places, chart.values, color=COLOURS[0])
    axes.set_yticks(places, [legible(label) for label in chart.labels], fontsize=8)
    axes.invert_yaxis()
    for place, value in zip(places, chart.values, strict=True):
        axes.text(value, place, f" {value:.{chart.digits}f}", va="center", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


def _grid(axes: Any, chart: Heatmap) -> None:
    values = [[math.nan if value is None else value for value in row] for row in chart.values]
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=min([0.0, *(v for row in values for v in row if v == v)]))
    axes.set_facecolor("#ddd3bf")  # of cells that do not exist
    axes.set_xticks(range(len(chart.columns)), [legible(each) for each in chart.columns], fontsize=8, rotation=45)
    axes.set_yticks(range(len(chart.rows)), [legible(each) for each in chart.rows], fontsize=8)
    axes.set_xlabel(legible(chart.across), fontsize=9)
    axes.set_ylabel(legible(chart.down), fontsize=9)
    if chart.numbers:
        most = max((value for row in chart.values for value in row if value is not None), default=1.0)
        for row, line in enumerate(chart.values):
            for column, value in enumerate(line):
                if value is not None:
                    ink = "white" if value > 0.6 * most else "black"
                    told = f"{value:.{chart.digits}f}"
                    axes.text(column, row, told, ha="center", va="center", fontsize=7, color=ink)
