"""A comparison as a picture: a panel for each thing measured, a colour for each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.drawing.legible import legible, shortened, spelled
from clearhead.drawing.word_map import COLOURS, SHAPES
from clearhead.files import replacing
from clearhead.lab.bins import Bin
from clearhead.lab.comparison import Comparison
from clearhead.lab.speeds import Speed
from clearhead.lab.summary import BUDGETS, Line, Spread, lines
from clearhead.language import speaking, spoken

PANEL = (5.2, 3.9)  # inches
DPI = 110

Panel = Callable[[Any], None]


@dataclass(frozen=True)
class Shown:
    """What a panel shows of each line."""

    title: str
    unit: str
    of: Callable[[Line], Spread | None]


LOSS = Shown("Loss (lower is better)", "nats a token", lambda line: line.loss)
BLEU = Shown("BLEU (higher is better)", "BLEU", lambda line: line.bleu)
ACCURACY = Shown("Answers right", "share right", lambda line: line.accuracy)


def check_picture(path: Path) -> None:
    """Raises what ``draw_comparison`` would raise for this path."""
    check_ending(path, PLOTTED)


def draw_comparison(found: Comparison, path: str | Path, *, language: str | None = None) -> None:
    """Draws a comparison to a .png or .svg file (extra ``plot``).

    Raises OptionError for another ending, FolderError if the file cannot be written, MissingExtraError if matplotlib
    is missing.
    """
    path = Path(path)
    check_picture(path)
    with speaking(language):
        content = _picture(found, path)
    with replacing(path) as file:
        file.write(content)


def _picture(found: Comparison, path: Path) -> bytes:
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, saving

    panels = _panels(found)
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(PANEL[0] * across, PANEL[1] * down + 0.7), dpi=DPI, layout="constrained")
    text = found.question.text
    title = spoken(f"Models of equal size, trained on {shortened(legible(text.corpus or ', '.join(text.sources)), 60)}")
    figure.suptitle(spelled(title, fonts.lacking([title])), fontsize=14, fontweight="bold")
    for number, draw in enumerate(panels):
        axes = figure.add_subplot(down, across, number + 1)
        draw(axes)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False)
    return saving.png(figure, DPI) if path.suffix.lower() == ".png" else saving.svg(figure, DPI, title)


def _panels(found: Comparison) -> list[Panel]:
    rows = lines(found)
    models = list(found.question.models)
    even = [line for line in rows if line.at == "tokens" and line.width == found.question.sizes[-1].width]
    recall, pairs = found.question.recall is not None, found.question.pairs
    panels: list[Panel] = []
    if recall and len(found.question.sizes) > 1:
        panels += [partial(_by_width, rows=rows, models=models, at=at) for at in found.question.budgets]
    else:
        figures = [ACCURACY] if recall else [LOSS, BLEU] if pairs else [LOSS]
        panels += [
            partial(_by_budget, rows=rows, models=models, budgets=found.question.budgets, figure=figure)
            for figure in figures
        ]
    curves: list[tuple[str, str, Callable[[Line], Sequence[Bin]]]] = [
        ("Loss by tokens seen before, at equal tokens", "nats a token", lambda line: line.places),
        ("Answers right by distance, at equal tokens", "share right", lambda line: line.recalled),
        ("BLEU by tokens of the source, at equal tokens", "BLEU", lambda line: line.lengths),
    ]
    for kind in dict.fromkeys(each.kind for line in even for each in line.facts if each.distances):
        title = f"{spoken(kind)} predicted by distance, at equal tokens"
        curves.append((title, "share predicted", lambda line, kind=kind: line.distances(kind)))
    for title, unit, bins in curves:
        if any(bins(line) for line in even):
            panels.append(partial(_curves, rows=even, models=models, title=title, unit=unit, bins=bins))
    if found.speeds:
        panels += [
            partial(_speeds, speeds=found.speeds, models=models, what=what) for what in ("training", "generating")
        ]
    return panels


def _look(model: str, models: list[str]) -> dict[str, Any]:
    number = models.index(model)
    return {"color": COLOURS[number % len(COLOURS)], "marker": SHAPES[number % len(SHAPES)], "label": model}


def _by_budget(axes: Any, rows: Sequence[Line], models: list[str], budgets: Sequence[str], figure: Shown) -> None:
    """A point for each model and budget, with a bar from the lowest to the highest seed."""
    for model in models:
        for x, at in enumerate(budgets):
            for line in rows:
                spread = figure.of(line)
                if (line.model, line.at) == (model, at) and spread is not None:
                    place = x + 0.09 * (models.index(model) - (len(models) - 1) / 2)
                    look = _look(model, models)
                    if x:
                        look["label"] = None
                    axes.errorbar(place, spread.mean, yerr=spread.half, linestyle="", capsize=3, **look)
    axes.set_xticks(range(len(budgets)), [spoken(BUDGETS[at]) for at in budgets])
    axes.set_xlim(-0.5, len(budgets) - 0.5)
    if figure.unit.startswith("share"):
        axes.set_ylim(-0.03, 1.03)
    axes.set_title(spoken(figure.title), loc="left")
    axes.set_ylabel(spoken(figure.unit))


def _by_width(axes: Any, rows: Sequence[Line], models: list[str], at: str) -> None:
    for model in models:
        points = [
            (line.width, line.accuracy)
            for line in rows
            if (line.model, line.at) == (model, at) and line.accuracy is not None
        ]
        axes.errorbar(
            [width for width, _ in points],
            [figure.mean for _, figure in points],
            yerr=[figure.half for _, figure in points],
            capsize=3,
            **_look(model, models),
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(spoken(f"Answers right at {BUDGETS[at]}"), loc="left")
    axes.set_xlabel(spoken("width"))
    axes.set_ylabel(spoken("share right"))


def _curves(
    axes: Any,
    rows: Sequence[Line],
    models: list[str],
    title: str,
    unit: str,
    bins: Callable[[Line], Sequence[Bin]],
) -> None:
    labels: dict[int, str] = {}
    for line in rows:
        found = bins(line)
        labels |= {each.low: f"{each.label}\n({each.count:,})" for each in found}
        axes.plot([each.low for each in found], [each.mean for each in found], **_look(line.model, models))
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(labels), [labels[low] for low in sorted(labels)], fontsize=8)
    axes.minorticks_off()
    axes.set_title(spoken(title), loc="left")
    axes.set_xlabel(spoken("tokens (cases)"))
    axes.set_ylabel(spoken(unit))
    if unit.startswith("share"):
        axes.set_ylim(-0.03, 1.03)


def _speeds(axes: Any, speeds: Sequence[Speed], models: list[str], what: str) -> None:
    for model in models:
        own = [each for each in speeds if each.kind == model]
        axes.plot([each.length for each in own], [getattr(each, what) for each in own], **_look(model, models))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.set_title(spoken("Speed of training" if what == "training" else "Speed of generating"), loc="left")
    axes.set_xlabel(spoken("tokens of a text" if what == "training" else "tokens before the new one"))
    axes.set_ylabel(spoken("tokens a second"))
