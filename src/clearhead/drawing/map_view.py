"""One attention map as a picture for notebooks: SVG without scripts, whose cells tell their numbers to the pointer."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise

from clearhead.drawing import colours
from clearhead.drawing.legible import legible, shortened
from clearhead.language import spoken
from clearhead.watching import AttentionMap

# Most cells along a side, and pixels of a cell, of the labels' margin and of the line above it. A picture stands in the
# notebook's file: with so many cells it has at most 0.3 MB.
SIDE, CELL, MARGIN, HEADING = 40, 15, 96, 24
LABEL = 14  # terminal cells of a label

# On white: the notebook around it may be dark.
OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="10">'
    '<rect width="100%" height="100%" fill="#fff"/>'
)


def picture(a: AttentionMap) -> str:
    """The map as SVG: queries from top to bottom, keys from left to right; beyond SIDE of them, cells cover several.

    Such a cell shows the largest weight that it covers. Cells of weight 0 are left white.
    """
    weights_YX = a.image(SIDE, SIDE).numpy()
    height, width = weights_YX.shape
    first, (Q, K) = a.first_place, a.shape
    rows = _names(a.query_text.tokens[first : first + Q], height, first)
    columns = _names(a.key_text.tokens[:K], width, 0)
    lines = [OPEN.format(width=MARGIN + CELL * width + 8, height=HEADING + MARGIN + CELL * height + 8)]
    lines.append(f'<text x="8" y="16" font-size="12">{html.escape(_title(a))}</text>')
    lines.append(f'<g transform="translate({MARGIN} {HEADING + MARGIN})">')
    lines.append(f'<rect width="{CELL * width}" height="{CELL * height}" fill="none" stroke="#ccc"/>')
    for n, name in enumerate(rows):
        lines.append(f'<text x="-4" y="{CELL * n + 11}" text-anchor="end">{_label(name)}</text>')
    for n, name in enumerate(columns):
        lines.append(f'<text transform="translate({CELL * n + 11} -4) rotate(-90)">{_label(name)}</text>')
    most = "" if (height, width) == (Q, K) else "≤ "
    for n, name in enumerate(rows):
        fills = colours.hexed(colours.paint(weights_YX[n]))
        for m, (weight, fill) in enumerate(zip(weights_YX[n].tolist(), fills, strict=True)):
            if weight > 0:
                told = html.escape(f"{name} → {columns[m]}: {most}{weight:.4f}")
                lines.append(
                    f'<rect x="{CELL * m}" y="{CELL * n}" width="{CELL}" height="{CELL}" fill="{fill}">'
                    f"<title>{told}</title></rect>"
                )
    return "\n".join([*lines, "</g></svg>"])


def _title(a: AttentionMap) -> str:
    site = str(a.site.layer) if a.site.kind == "self" else f"{a.site.layer}.{a.site.kind}"
    return spoken(f"layer {site}, head {a.head}") + spoken("; a row for each query, a column for each key")


def _names(tokens: Sequence[str], cells: int, first: int) -> list[str]:
    """What each cell along a side covers: a place and its token, or the first place and the last."""
    starts = [-(-cell * len(tokens) // cells) for cell in range(cells + 1)]  # as ``cells.Image`` bins them
    return [
        f"{first + start} {legible(tokens[start])}" if stop == start + 1 else f"{first + start}-{first + stop - 1}"
        for start, stop in pairwise(starts)
    ]


def _label(name: str) -> str:
    return html.escape(shortened(name, LABEL))
