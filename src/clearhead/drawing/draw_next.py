"""The next token's distribution as a picture: bars, what sampling settings make of them, and the layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearhead.analysis import NextWords
from clearhead.drawing import colours
from clearhead.drawing.endings import check_ending
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.next_table import described, encoded, named, whole
from clearhead.errors import many
from clearhead.files import replacing
from clearhead.language import mark, speaking, spoken

NEXT_ENDINGS = (".png", ".json")

# Inches, points, and terminal cells of a label.
WIDTH, LINE, EDGES = 7.0, 0.3, 1.5
SIZE, TITLE, LABEL = 10.0, 13.0, 24
DPI = 150

# Candidates in a layer's line.
SHOWN = 5


def draw_next(found: NextWords, path: str | Path, *, language: str | None = None) -> None:
    """Writes the distribution to ``path``: .png is a picture (extra ``plot``), .json has the numbers.

    The file is written whole or not at all. A .png shows the code point of a character that no installed font has.
    Raises OptionError for an unknown file extension, FolderError if the file cannot be written, MissingExtraError if
    matplotlib is missing.
    """
    path = Path(path)
    check_next_path(path)
    with speaking(language):
        content = encoded(found) if path.suffix.lower() == ".json" else _picture(found)
    with replacing(path) as file:
        file.write(content)


def check_next_path(path: Path) -> None:
    """Raises what ``draw_next`` would raise for this path, before any work is done."""
    check_ending(path, NEXT_ENDINGS)


def _picture(found: NextWords) -> bytes:
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, saving

    labels = [shortened(legible(each.label), LABEL) for each in found.candidates]
    title = found.model + mark(": ") + whole(found) if found.model else whole(found)
    title = shortened(legible(title), 90 if found.layers else 50)
    shown = [legible(each.label) for layer in found.layers for each in layer.candidates[:SHOWN]]
    lacking = fonts.lacking((title, *labels, *shown))
    figure = Figure(
        figsize=(WIDTH * (2 if found.layers else 1), EDGES + LINE * max(len(labels) + 1, 1.4 * len(found.layers))),
        layout="constrained",
    )
    figure.suptitle(spelled(title, lacking), fontsize=TITLE, fontweight="bold")
    axes = figure.subplots(1, 2 if found.layers else 1, squeeze=False)[0]
    _bars(axes[0], found, [spelled(label, lacking) for label in labels])
    if found.layers:
        _layers(axes[1], found, lacking)
    return saving.png(figure, DPI)


def _bars(axes: Any, found: NextWords, labels: list[str]) -> None:
    places = range(len(labels))
    both = found.sampled_rest is not None
    height = 0.38 if both else 0.7
    shift = height / 2 if both else 0.0
    model = [each.probability for each in found.candidates]
    sets = [(model, -shift, colours.LIGHT[3], spoken("the model"))]
    if both:
        sampled = [each.sampled or 0.0 for each in found.candidates]
        sets.append(
            (sampled, shift, colours.QUERY_LIGHT, spoken(f"with {described(found.settings)}: {found.kept:,} left"))
        )
    for values, offset, colour, name in sets:
        axes.barh([place + offset for place in places], values, height, color=colour, label=name)
        for place, value in zip(places, values, strict=True):
            text = spoken(" removed") if values is not model and not value else f" {value:.3f}"
            axes.text(value, place + offset, text, va="center", fontsize=SIZE - 2 * both)
    axes.set_yticks(list(places), labels, fontsize=SIZE + 1)
    axes.invert_yaxis()
    most = max(max(values) for values, _, _, _ in sets)
    axes.set_xlim(0, min(1.18, most * 1.2))
    axes.spines[["top", "right"]].set_visible(False)
    others = many(found.vocabulary - len(labels), "other token")
    axes.set_xlabel(spoken(f"probability; {others} together {found.rest:.3f}"))
    if both:
        axes.legend(loc="lower right", frameon=False, fontsize=SIZE)


def _layers(axes: Any, found: NextWords, lacking: set[str]) -> None:
    """A line for each layer, the last on top: its likeliest tokens on the scale that all pictures share."""
    import numpy as np

    count = min(SHOWN, len(found.candidates))
    lines = list(reversed(found.layers))
    p = np.array([[each.probability for each in line.candidates[:count]] for line in lines])
    axes.imshow(colours.paint(p), aspect="auto")
    for y, line in enumerate(lines):
        for x, each in enumerate(line.candidates[:count]):
            text = spelled(shortened(legible(each.label), 12), lacking)
            dark = each.probability > 0.25
            colour = "white" if dark else "black"
            axes.text(
                x, y, f"{text}\n{each.probability:.3f}", ha="center", va="center", color=colour, fontsize=SIZE - 2
            )
    axes.set_xticks([])
    axes.set_yticks(range(len(lines)), [spoken(named(line.site)) for line in lines], fontsize=SIZE)
    axes.set_xlabel(spoken("likeliest tokens read after each layer (logit lens)"))
    axes.spines[:].set_visible(False)
