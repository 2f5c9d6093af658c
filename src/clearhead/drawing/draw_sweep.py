"""A sweep as a picture: layer by head, by place, by key or by part, or its largest changes as bars."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from clearhead.analysis import Effect, Sweep
from clearhead.drawing import colours
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.sweep_table import Grid, encoded, encoded_effect, grid, largest
from clearhead.files import replacing

SWEEP_ENDINGS = (*PLOTTED, ".json")
EFFECT_ENDINGS = (".json",)

# Inches of a cell and around the grid; points; bars if there is no grid.
CELL, EDGES, SIZE, TITLE, BARS = 0.34, 2.4, 9.0, 12.0, 20
DPI = 150

# Cells are labelled with their numbers up to this many of them.
NUMBERED = 400


def draw_sweep(found: Sweep, path: str | Path) -> None:
    """Writes the sweep to ``path``: .png and .svg are pictures (extra ``plot``), .json has the numbers.

    The file is written whole or not at all. Raises OptionError for an unknown file extension, FolderError if the file
    cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_sweep_path(path)
    content = encoded(found) if path.suffix.lower() == ".json" else _picture(found, path.suffix.lower()[1:])
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


def _picture(found: Sweep, form: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts

    cells = grid(found)
    text = legible(f"{found.model}: {found.text}" if found.model else found.text)
    about = f"{legible(found.measure)}: {found.base:.4g} without edits"
    about += ", changes predicted by the gradient" if found.by == "gradient" else ""
    columns = () if cells is None else cells.columns
    lacking = fonts.lacking((text, about, *columns))
    wide = 6.0 if cells is None else max(5.0, EDGES + CELL * len(cells.columns))
    tall = 1.6 + 0.28 * min(BARS, len(found.entries)) if cells is None else EDGES - 0.6 + CELL * len(cells.rows)
    figure = Figure(figsize=(wide, tall), layout="constrained")
    figure.suptitle(spelled(shortened(text, int(wide * 9)), lacking), fontsize=TITLE, fontweight="bold")
    axes = figure.subplots()
    axes.set_title(spelled(shortened(about, int(wide * 12)), lacking), fontsize=SIZE)
    if cells is None:
        _bars(axes, found)
    else:
        _grid(figure, axes, cells, lacking)
    fonts.dress(figure)
    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "clearhead"}):
        figure.savefig(buffer, format=form, dpi=DPI, **({"metadata": {"Date": None}} if form == "svg" else {}))
    return buffer.getvalue()


def _grid(figure: Any, axes: Any, cells: Grid, lacking: set[str]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    most = largest(cells)
    size = len(cells.rows) * len(cells.columns)
    for y, values in enumerate(cells.values):
        for x, value in enumerate(values):
            if value is None:
                continue
            colour = colours.signed(value / most)
            axes.add_patch(_square(x, y, colour))
            if size <= NUMBERED and abs(value) >= most / 20:
                shade = "white" if colours.dark(colour) else "black"
                axes.text(x, y, _short(value), ha="center", va="center", fontsize=5.5, color=shade)
    axes.set_xlim(-0.5, len(cells.columns) - 0.5)
    axes.set_ylim(len(cells.rows) - 0.5, -0.5)
    axes.set_aspect("equal")
    turned = {"rotation": 90} if cells.across in ("place", "key") else {}
    labels = [spelled(shortened(label, 14), lacking) for label in cells.columns]
    axes.set_xticks(range(len(labels)), labels, fontsize=SIZE, **turned)
    axes.set_yticks(range(len(cells.rows)), cells.rows, fontsize=SIZE)
    axes.set_xlabel(cells.across, fontsize=SIZE)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    steps = [colours.signed(n / 64) for n in range(-64, 65)]
    shades = ScalarMappable(Normalize(-most, most), ListedColormap(steps))
    bar = figure.colorbar(shades, ax=axes, shrink=0.8, aspect=18)
    bar.set_label("change of the measure", fontsize=SIZE)
    bar.ax.tick_params(labelsize=SIZE - 1)


def _square(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#ffffff", linewidth=0.6)


def _bars(axes: Any, found: Sweep) -> None:
    shown = found.top(BARS)
    values = [entry.change for entry in shown]
    most = max(map(abs, values)) or 1.0
    axes.barh(range(len(shown)), values, 0.7, color=[colours.signed(0.7 * value / most) for value in values])
    axes.set_yticks(range(len(shown)), [shortened(legible(entry.name), 40) for entry in shown], fontsize=SIZE)
    axes.invert_yaxis()
    axes.set_xlabel("change of the measure", fontsize=SIZE)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    """Two digits: .12, -1.3, 25."""
    return f"{value:.2g}" if abs(value) >= 1 else f"{value:.2f}".replace("0.", ".")
