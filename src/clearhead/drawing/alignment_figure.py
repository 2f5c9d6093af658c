"""The alignment of a translation with its text, as a picture. Uses matplotlib without pyplot."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from clearhead.analysis import Alignment
from clearhead.drawing import fonts, panels, saving
from clearhead.drawing.draw import note_lacking
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.panels import DPI, Canvas
from clearhead.language import spoken

MARGIN, TITLE, NOTE, SCALE_WIDTH, LEAST_WIDTH = 0.3, 1.1, 0.9, 5.2, 6.5
CELL, LABEL = (0.22, 0.5), 12.0  # inches of a token's row, least and most; points


def drawn(found: Alignment, path: Path) -> bytes:
    """The bytes of a .png or .svg file."""
    both = [legible(found.text or ""), f"→ {legible(found.translation or '')}"]
    written, read = ([legible(each) for each in labels] for labels in (found.written, found.read))
    png = path.suffix.lower() == ".png"
    if png:
        lacking = fonts.lacking((*both, *written, *read))
        note_lacking(path, sorted(lacking))
        both, written, read = ([spelled(each, lacking) for each in labels] for labels in (both, written, read))
    made = _figure(found, both, written, read)
    return saving.png(made, DPI) if png else saving.svg(made, DPI, " ".join(both))


def _figure(found: Alignment, title: list[str], written: list[str], read: list[str]) -> Figure:
    T, S = found.weights_TS.shape
    cell = panels.whole(max(CELL[0], min(CELL[1], 9.0 / max(T, S))))
    size = min(LABEL, cell * 72 / 1.3)
    left, top = MARGIN + panels.longest(written, size), MARGIN + TITLE + panels.longest(read, size)
    width = max(LEAST_WIDTH, left + S * cell + MARGIN, left + SCALE_WIDTH)
    canvas = Canvas(Figure(figsize=(panels.whole(width), panels.whole(top + T * cell + NOTE + MARGIN)), dpi=DPI))
    fits = int((width - 2 * MARGIN) * 72 / (14 * panels.CELL))
    for number, line in enumerate(title):
        canvas.text(MARGIN, MARGIN + 0.3 * number, shortened(line, fits), size=14, weight="bold")
    said = f"each row is a token that was written; what it was predicted from, layer {found.layer}, mean of its heads"
    canvas.text(MARGIN, MARGIN + 0.66, spoken(said), size=10, color=panels.QUIET)
    panels.table(canvas, (left, top, S * cell, T * cell), found.weights_TS.numpy(), (written, read), size)
    panels.scale(canvas, left, top + T * cell + 0.3, SCALE_WIDTH, hides=False)
    return canvas.figure
