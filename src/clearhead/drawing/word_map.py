"""Maps of words: each way of laying them on a plane is a panel, side by side."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from clearhead.analysis.lexicon import Panel, WordMap
from clearhead.drawing.endings import check_ending
from clearhead.drawing.inline import SWITCH, both, page_file, policy
from clearhead.drawing.legible import code_point, legible, spelled
from clearhead.errors import many
from clearhead.files import replacing
from clearhead.language import chosen, current, speaking, spoken

log = logging.getLogger(__name__)

MAP_ENDINGS = (".png", ".html")

# Colours that differ for colour-blind readers too (Okabe and Ito 2008), their yellow darkened for white paper; with
# more groups than colours, shapes tell them apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a7a00", "#56b4e9", "#e69f00", "#000000")
SHAPES = ("o", "s", "^", "D")

# Points of 1/72 inch: the side of a panel, its margin, and the labels' size.
SIDE, MARGIN, LABEL = 660.0, 40.0, 10.0
DPI = 110
INK = "#16202e"  # of labels, since light colours are hard to read

# The groups of a map of answers; other groups are named by the user's questions.
GROUPS_ZH = {"asked": "问的词", "answers": "回答"}

Places = npt.NDArray[np.float64]


def check_map(path: Path) -> None:
    """Raises what ``draw_words`` would raise for this path, before any work is done."""
    check_ending(path, MAP_ENDINGS)


def draw_words(drawn: WordMap, path: str | Path, *, language: str | None = None) -> None:
    """Draws the map to ``path``: a .png (extra ``plot``), or a self-contained .html, where a label that would cover
    another appears under the pointer.

    Raises OptionError for another ending, FolderError if the file cannot be written, MissingExtraError if matplotlib
    is missing.
    """
    path = Path(path)
    check_map(path)
    with speaking(language):
        content = _picture(drawn, path) if path.suffix.lower() == ".png" else _page(drawn).encode()
    with replacing(path) as file:
        file.write(content)


def laid(panel: Panel) -> Places:
    """The words' places in points from the panel's lower left corner, both axes at one scale."""
    low_2, high_2 = panel.places_N2.min(0), panel.places_N2.max(0)
    scale = (SIDE - 2 * MARGIN) / max(float((high_2 - low_2).max()), 1e-12)
    return (panel.places_N2 - (low_2 + high_2) / 2) * scale + SIDE / 2


def labelled(places_N2: Places, words: Sequence[str]) -> list[int]:
    """The words whose labels cover no label of a word before them, nor leave the panel."""
    kept: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    for number, (word, (x, y)) in enumerate(zip(words, places_N2.tolist(), strict=True)):
        left, low = x + 4, y - LABEL / 2
        box = (left, low, left + cell_len(word) * LABEL * 0.6, low + LABEL * 1.2)
        free = all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in boxes)
        if free and box[2] < SIDE:
            kept.append(number)
            boxes.append(box)
    return kept


def looks_of(groups: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The colour and shape of each group."""
    return {
        group: (COLOURS[number % len(COLOURS)], SHAPES[number // len(COLOURS) % len(SHAPES)])
        for number, group in enumerate(dict.fromkeys(groups))
    }


def _group(name: str, language: str) -> str:
    """The name of a group for readers of this language."""
    with speaking(language):
        return GROUPS_ZH[name] if language == "zh" and name in GROUPS_ZH else spoken(name)


def _note(panel: Panel, shown: int, count: int, rest: str = "") -> str:
    """What a reader must know about a panel."""
    notes = {
        "PCA": f"{panel.figure:.0%} of the variance lies in these two directions",
        "t-SNE": f"near words stay near; far distances and directions mean nothing (perplexity {panel.figure:.3g})",
    }
    labels = f"; {shown} of {many(count, 'word')} are labelled; the other labels would cover them{rest}"
    return notes[panel.method] + (labels if shown < count else "")


def _note_zh(panel: Panel, shown: int, count: int, rest: str = "") -> str:
    notes = {
        "PCA": f"这两个方向占全部方差的 {panel.figure:.0%}",
        "t-SNE": f"相近的词仍在一起；较远的距离和方向没有意义（perplexity {panel.figure:.3g}）",
    }
    labels = f"；{count} 个词中标出了 {shown} 个，其余的会盖住它们{rest}"
    return notes[panel.method] + (labels if shown < count else "")


def _picture(drawn: WordMap, path: Path) -> bytes:
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, saving

    words = [legible(word) for word in drawn.words]
    lacking = fonts.lacking([drawn.title, *words])
    if lacking:
        missing = ", ".join(map(code_point, sorted(lacking)))
        log.info("%s: no font here has %s, so code points are drawn; .html uses the reader's own fonts", path, missing)
    words, title = [spelled(word, lacking) for word in words], spelled(legible(spoken(drawn.title)), lacking)
    looks = looks_of(drawn.groups)
    named = [group for group in looks if group]
    band = 0.3 * (1 + len(named) // 5) if named else 0.0
    side, top, below = SIDE / 72, 0.9, 0.6
    figure = Figure(figsize=(len(drawn.panels) * side, side + top + below + band), dpi=DPI)
    width, height = figure.get_size_inches()
    figure.text(0.2 / width, 1 - 0.35 / height, title, size=15, weight="bold", va="center")
    for place, panel in enumerate(drawn.panels):
        axes = figure.add_axes(
            ((place * side + 0.1) / width, (below + band) / height, (side - 0.2) / width, side / height)
        )
        axes.set(xlim=(0, SIDE), ylim=(0, SIDE), xticks=[], yticks=[])
        axes.set_title(panel.method, size=13, loc="left")
        places_N2 = laid(panel)
        for one, other in drawn.lines:
            axes.plot(places_N2[[one, other], 0], places_N2[[one, other], 1], color="#c4c9d1", linewidth=0.8, zorder=1)
        for group, (colour, shape) in looks.items():
            members = [number for number, its in enumerate(drawn.groups) if its == group]
            axes.scatter(
                places_N2[members, 0],
                places_N2[members, 1],
                s=14,
                color=colour,
                marker=shape,
                zorder=2,
                label=_group(group, current()),
            )
        shown = labelled(places_N2, words)
        for number in shown:
            axes.text(places_N2[number, 0] + 4, places_N2[number, 1], words[number], size=LABEL, va="center", color=INK)
        note = (_note_zh if current() == "zh" else _note)(panel, len(shown), len(words))
        figure.text((place * side + 0.1) / width, (band + 0.3) / height, note, size=9, va="center", color="#4b5563")
        if place == 0 and named:
            figure.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=5, frameon=False, fontsize=10)
    return saving.png(figure, DPI)


def _page(drawn: WordMap) -> str:
    style, script = f"{page_file('languages.css')}\n{page_file('word_map.css')}", page_file("languages.js")
    heading = legible(drawn.title)
    with speaking("zh"):
        chinese = legible(spoken(drawn.title))
    title = html.escape(heading)
    looks = looks_of(drawn.groups)
    legend = "".join(
        f'<li><svg width="12" height="12" viewBox="-6 -6 12 12" role="presentation">{mark(0, 0, *look)}</svg> '
        f"{both(legible(group), legible(_group(group, 'zh')))}</li>"
        for group, look in looks.items()
        if group
    ).replace("<svg ", '<svg class="key" ')
    return (
        f'<!doctype html>\n<html lang="{current()}" data-chosen="{chosen() or ""}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">'
        f"<title>{title}</title><style>{style}</style></head><body>{SWITCH}<h1>{both(heading, chinese)}</h1>\n"
        + (f"<ul>{legend}</ul>\n" if legend else "")
        + f"<main>{''.join(_section(drawn, panel, looks) for panel in drawn.panels)}</main>\n"
        + f"<script>{script}</script>\n</body></html>\n"
    )


def _section(drawn: WordMap, panel: Panel, looks: dict[str, tuple[str, str]]) -> str:
    words = [legible(word) for word in drawn.words]
    places_N2 = laid(panel)
    shown = labelled(places_N2, words)
    note = both(
        _note(panel, len(shown), len(words), " and appear under the pointer"),
        _note_zh(panel, len(shown), len(words), "，指针移上去才显示"),
    )
    parts = "\n".join(_parts(drawn, words, places_N2, set(shown), looks))
    return (
        f'<section><h2>{html.escape(panel.method)}</h2><p>{note}</p>\n<svg viewBox="0 0 {SIDE:g} {SIDE:g}" role="img" '
        f'aria-label="{html.escape(panel.method)}">\n{parts}\n</svg></section>\n'
    )


def _parts(
    drawn: WordMap, words: Sequence[str], places_N2: Places, shown: set[int], looks: dict[str, tuple[str, str]]
) -> Iterator[str]:
    down = places_N2 * np.array([1, -1]) + np.array([0, SIDE])  # in an SVG, y goes down
    for one, other in drawn.lines:
        (x, y), (u, v) = down[one].tolist(), down[other].tolist()
        yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}"/>'
    # the covered first, so that what is under the pointer can lie over nothing but a label
    for number in sorted(range(len(words)), key=lambda number: number in shown):
        (x, y), look = down[number].tolist(), looks[drawn.groups[number]]
        covered = "" if number in shown else ' class="covered"'
        end = x + cell_len(words[number]) * 8.5 > SIDE  # in the size under the pointer
        aside = f'x="{x - 5:.1f}" text-anchor="end"' if end and number not in shown else f'x="{x + 5:.1f}"'
        yield (f'<g{covered}>{mark(x, y, *look)}<text {aside} y="{y:.1f}">{html.escape(words[number])}</text></g>')


def mark(x: float, y: float, colour: str, shape: str) -> str:
    """A point in an SVG."""
    if shape == "o":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    corners = {
        "s": ((-3, -3), (3, -3), (3, 3), (-3, 3)),
        "^": ((0, -4), (3.5, 3), (-3.5, 3)),
        "D": ((0, -4), (4, 0), (0, 4), (-4, 0)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{colour}"/>'
