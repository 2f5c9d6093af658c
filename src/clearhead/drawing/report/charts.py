"""Charts of a report as SVG. Every mark has a title with its numbers, which a pointer or a screen reader finds."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len

from clearhead.drawing.legible import legible
from clearhead.drawing.report.blocks import Bars, Curves, Heatmap
from clearhead.drawing.word_map import COLOURS

# In points: a chart's inside and margins, a bar, a cell of a grid, and a character of a label.
WIDE, HIGH, LEFT, TOP, BELOW = 420.0, 220.0, 58.0, 10.0, 44.0
BAR, CELL, CHARACTER = 20.0, 46.0, 6.2
DASHED = ' stroke-dasharray="5 4"'


def safe(text: str) -> str:
    """The text as markup, with invisible characters spelled out."""
    return html.escape(legible(text))


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from at most ``low`` to at least ``high``."""
    span = (high - low) or max(abs(high), 1.0)
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def curves(chart: Curves) -> str:
    """The chart as an SVG element and its legend."""
    xs = sorted({x for curve in chart.curves for x in curve.x})
    ys = [y for curve in chart.curves for y in curve.y]
    if not xs:
        return ""
    marks_y = ticks(0.0 if chart.from_zero else min(ys), max(ys))
    counted = [float(number) for number in range(len(chart.ticks))]
    marks_x = counted or (xs if chart.log else ticks(min(xs), max(xs)))
    place = math.log if chart.log else float
    low_x, high_x, low_y, high_y = place(marks_x[0]), place(marks_x[-1]), marks_y[0], marks_y[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        across = (place(x) - low_x) / ((high_x - low_x) or 1.0)
        return LEFT + across * WIDE, TOP + HIGH * (1 - (y - low_y) / (high_y - low_y))

    drawn: list[str] = []
    for y in marks_y:
        _, down = at(marks_x[0], y)
        drawn.append(f'<line x1="{LEFT}" y1="{down:.1f}" x2="{LEFT + WIDE}" y2="{down:.1f}"/>')
        drawn.append(f'<text x="{LEFT - 5}" y="{down:.1f}" text-anchor="end">{y:g}</text>')
    free = -math.inf
    for number, x in enumerate(marks_x):
        across, _ = at(x, marks_y[0])
        name = chart.ticks[number] if counted else f"{x:,g}" if abs(x) < 1e6 else f"{x:.0e}"
        if across - free > len(name) * CHARACTER:  # where there is room
            free = across + len(name) * CHARACTER / 2
            drawn.append(f'<text x="{across:.1f}" y="{TOP + HIGH + 12}" text-anchor="middle">{safe(name)}</text>')
    for number, curve in enumerate(chart.curves):
        colour = COLOURS[number % len(COLOURS)]
        points = [at(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        dash = DASHED if curve.level else ""
        drawn += [
            f'<path d="M{one[0]:.1f} {one[1]:.1f}L{two[0]:.1f} {two[1]:.1f}" stroke="{colour}"{dash}/>'
            for one, two in pairwise(points)
        ]
        for (across, down), x, y in zip([] if curve.level else points, curve.x, curve.y, strict=not curve.level):
            told = f"<title>{safe(curve.name)}: {chart.ticks[int(x)] if counted else f'{x:,g}'}, {y:.4g}</title>"
            drawn.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}">{told}</circle>')
    drawn.append(
        f'<text x="{LEFT + WIDE / 2}" y="{TOP + HIGH + 32}" text-anchor="middle" class="axis">{safe(chart.x)}</text>'
    )
    legend = "".join(
        f'<li><svg class="key" viewBox="0 0 24 8"><path d="M0 4L24 4" stroke="{COLOURS[number % len(COLOURS)]}"'
        f"{DASHED if curve.level else ''}/></svg> {safe(curve.name)}{f' {curve.y[0]:.3f}' if curve.level else ''}</li>"
        for number, curve in enumerate(chart.curves)
    )
    size = f"0 0 {LEFT + WIDE + 14:g} {TOP + HIGH + BELOW:g}"
    unit = f'<p class="axis">{safe(chart.y)}</p>' if chart.y else ""
    return (
        f'{unit}<svg viewBox="{size}" role="img" aria-label="{safe(chart.title)}">'
        f"{''.join(drawn)}</svg><ul>{legend}</ul>"
    )


def bars(chart: Bars) -> str:
    """The chart as an SVG element."""
    left = _width(chart.labels) + 8
    longest = max((*chart.values, 0.0)) or 1.0
    drawn: list[str] = []
    for number, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        middle = BAR * (number + 0.5)
        wide = 260 * value / longest
        told = f"<title>{safe(label)}: {value:.6g}</title>"
        drawn.append(f'<text x="{left - 6:.1f}" y="{middle}" text-anchor="end">{safe(label)}</text>')
        drawn.append(
            f'<rect x="{left:.1f}" y="{middle - 7}" width="{wide:.2f}" height="14" fill="{COLOURS[0]}">{told}</rect>'
        )
        drawn.append(f'<text x="{left + wide + 5:.1f}" y="{middle}">{value:.{chart.digits}f}</text>')
    size = f"0 0 {left + 330:.1f} {BAR * len(chart.labels):g}"
    return f'<svg viewBox="{size}" role="img" aria-label="{safe(chart.title)}">{"".join(drawn)}</svg>'


def grid(chart: Heatmap) -> str:
    """The matrix as an SVG element: the darker, the larger; hidden cells are hatched."""
    left, top = _width(chart.rows) + 8, _width(chart.columns) + 10 if _turned(chart.columns) else 22.0
    known = [value for row in chart.values for value in row if value is not None]
    low, high = min((*known, 0.0)), max((*known, 0.0)) or 1.0
    cell = CELL if chart.numbers else min(CELL, 640 / max(1, len(chart.columns)))
    drawn = ['<defs><pattern id="hidden" width="6" height="6" patternUnits="userSpaceOnUse">'
             '<path d="M0 6L6 0" class="hatch"/></pattern></defs>']  # fmt: skip
    for number, column in enumerate(chart.columns):
        x = left + (number + 0.5) * cell
        turn = f' transform="rotate(-60 {x:.1f} {top - 6:.1f})" text-anchor="start"' if _turned(chart.columns) else ""
        anchor = "" if turn else ' text-anchor="middle"'
        drawn.append(f'<text x="{x:.1f}" y="{top - 8:.1f}"{anchor}{turn}>{safe(column)}</text>')
    for row, (label, values) in enumerate(zip(chart.rows, chart.values, strict=True)):
        y = top + row * 24
        drawn.append(f'<text x="{left - 6:.1f}" y="{y + 12:.1f}" text-anchor="end">{safe(label)}</text>')
        for column, value in enumerate(values):
            x = left + column * cell
            box = f'x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="24"'
            if value is None:
                drawn.append(f'<rect {box} fill="url(#hidden)"/>')
                continue
            share = (value - low) / (high - low)
            told = f"<title>{safe(label)}, {safe(chart.columns[column])}: {value:.6g}</title>"
            drawn.append(f'<rect {box} fill="{COLOURS[0]}" fill-opacity="{share:.3f}" class="cell">{told}</rect>')
            if chart.numbers:
                ink = ' class="on"' if share > 0.6 else ""
                drawn.append(
                    f'<text x="{x + cell / 2:.1f}" y="{y + 12:.1f}" text-anchor="middle"{ink}>'
                    f"{value:.{chart.digits}f}</text>"
                )
    size = f"0 0 {left + cell * len(chart.columns) + 24:.1f} {top + 24 * len(chart.rows) + 4:.1f}"
    return (
        f'<p class="axis">{safe(chart.down)} ↓ · {safe(chart.across)} →</p>'
        f'<svg viewBox="{size}" role="img" aria-label="{safe(chart.title)}">{"".join(drawn)}</svg>'
    )


def _width(labels: Sequence[str]) -> float:
    """Points that the longest label takes."""
    return max((cell_len(legible(label)) for label in labels), default=0) * CHARACTER + 4


def _turned(labels: Sequence[str]) -> bool:
    """Whether labels must be turned to fit above their cells."""
    return _width(labels) > CELL
