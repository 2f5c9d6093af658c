"""A sweep as a picture: layer by head, by place, by key or by part, or its largest changes as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clearhead.analysis import Effect, Sweep
from clearhead.drawing import colours, sweep_page
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.sweep_table import SweepGrid, encoded, encoded_effect, grid, largest
from clearhead.errors import OptionError
from clearhead.files import replacing
from clearhead.language import mark, speaking, spoken

SWEEP_ENDINGS = (*PLOTTED, ".html", ".json")
EFFECT_ENDINGS = (".json",)

# Inches: a cell, a letter of a label, above and right of the grid, and the least width of a picture.
CELL, LETTER, TOP, RIGHT, LEAST = 0.4, 0.085, 0.85, 1.2, 5.0
# Font sizes in points; most bars, where there is no grid; dots per inch.
SIZE, TITLE, BARS, DPI = 9.0, 12.0, 20, 150

# Most edits in a page: larger tables are slow to open.
EDITS = 20_000

# Cells show their numbers if there are at most this many.
NUMBERED = 400


def draw_sweep(found: Sweep, path: str | Path, *, language: str | None = None) -> None:
    """Writes the sweep to ``path``: .png and .svg are pictures (extra ``plot``), .html a page, .json has the numbers.

    The file is written whole or not at all. Raises OptionError for an unknown file extension or a page of more than
    EDITS edits, FolderError if the file cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_sweep_path(path)
    with speaking(language):
        content = _content(found, path)
    with replacing(path) as file:
        file.write(content)


def check_sweep_path(path: Path) -> None:
    """Raises what ``draw_sweep`` would raise for this path, before any work is done."""
    check_ending(path, SWEEP_ENDINGS)


def draw_effect(found: Effect, path: str | Path) -> None:
    """Writes the numbers of an effect as .json. The file is written whole or not at all. Raises as ``draw_sweep``."""
    path = Path(path)
    check_effect_path(path)
    with replacing(path) as file:
        file.write(encoded_effect(found))


def check_effect_path(path: Path) -> None:
    """Raises what ``draw_effect`` would raise for this path, before any work is done."""
    check_ending(path, EFFECT_ENDINGS)


def _content(found: Sweep, path: Path) -> bytes:
    ending = path.suffix.lower()
    if ending == ".json":
        return encoded(found)
    if ending == ".html":
        if len(found.entries) > EDITS:
            raise OptionError(
                f"{path}: {len(found.entries):,} edits; a page takes at most {EDITS:,}; make fewer, or write .json"
            )
        return sweep_page.encoded(found)
    return _picture(found, ending[1:])


def _picture(found: Sweep, form: str) -> bytes:
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, saving

    cells = grid(found)
    text = legible(found.model + mark(": ") + found.heading if found.model else found.heading)
    about = f"{legible(found.measure)}: {found.base:.4g} without edits"
    about = spoken(about + (", changes predicted by the gradient" if found.by == "gradient" else ""))
    bars = found.top(BARS) if cells is None else []
    labels = [shortened(legible(entry.name), 40) for entry in bars] if cells is None else list(cells.columns)
    lacking = fonts.lacking((text, about, *labels)) if form == "png" else set[str]()  # .svg: the reader's own fonts
    labels = [spelled(label, lacking) for label in labels]
    if cells is None:
        turned = False
        left, bottom, wide, tall = LETTER * max(map(len, labels)), 0.6, 4.0, 0.28 * len(bars)
    else:
        turned = max(map(len, labels)) * LETTER > CELL
        left, bottom = LETTER * max(map(len, cells.rows)), 0.5 + (LETTER * max(map(len, labels)) if turned else 0.1)
        wide, tall = CELL * len(cells.columns), CELL * len(cells.rows)
    left += 0.35
    size = max(LEAST, left + wide + RIGHT), bottom + tall + TOP
    figure = Figure(figsize=size)
    heads = ((text, TITLE, "bold", 0.28, 9), (about, SIZE + 1, "normal", 0.58, 12))
    for line, points, weight, down, letters in heads:
        line = spelled(shortened(line, int(size[0] * letters)), lacking)
        figure.text(0.2 / size[0], 1 - down / size[1], line, fontsize=points, fontweight=weight, va="center")
    axes = figure.add_axes((left / size[0], bottom / size[1], wide / size[0], tall / size[1]))
    if cells is None:
        _bars(axes, [entry.change for entry in bars], labels)
    else:
        axes.set_xticks(range(len(labels)), labels, fontsize=SIZE, rotation=90 if turned else 0)
        key = figure.add_axes(((left + wide + 0.25) / size[0], bottom / size[1], 0.14 / size[0], tall / size[1]))
        _grid(axes, key, cells)
    return saving.png(figure, DPI) if form == "png" else saving.svg(figure, DPI, text)


def _grid(axes: Any, key: Any, cells: SweepGrid) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import ListedColormap, Normalize

    most = largest(cells)
    size = len(cells.rows) * len(cells.columns)
    for y, values in enumerate(cells.values):
        shades = colours.hexed(colours.signed(np.array([value or 0.0 for value in values]), most))
        for x, (value, colour) in enumerate(zip(values, shades, strict=True)):
            if value is None:
                continue
            axes.add_patch(_square(x, y, colour))
            if size <= NUMBERED and abs(value) >= most / 20:
                shade = "white" if colours.dark(colour) else "black"
                axes.text(x, y, _short(value), ha="center", va="center", fontsize=6.5, color=shade)
    axes.set_xlim(-0.5, len(cells.columns) - 0.5)
    axes.set_ylim(len(cells.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(cells.rows)), list(map(spoken, cells.rows)), fontsize=SIZE)
    axes.set_xlabel(spoken(cells.across), fontsize=SIZE)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#bbbbbb")
    steps = colours.hexed(colours.signed(np.linspace(-1, 1, 129), 1.0))
    Colorbar(key, ScalarMappable(Normalize(-most, most), ListedColormap(steps)))
    key.set_ylabel(spoken("change"), fontsize=SIZE)
    key.tick_params(labelsize=SIZE - 1)


def _square(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#ffffff", linewidth=0.6)


def _bars(axes: Any, values: list[float], labels: list[str]) -> None:
    most = max(map(abs, values)) or 1.0
    axes.barh(range(len(values)), values, 0.7, color=colours.hexed(colours.signed(0.7 * np.array(values), most)))
    axes.set_yticks(range(len(values)), labels, fontsize=SIZE)
    axes.invert_yaxis()
    axes.set_xlabel(spoken("change of the measure"), fontsize=SIZE)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    """Two digits: .12, -1.3, 25."""
    return f"{value:.2g}" if abs(value) >= 1 else f"{value:.2f}".replace("0.", ".")
