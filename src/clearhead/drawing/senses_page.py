"""Senses as a self-contained page in both languages. It makes no network requests."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from clearhead.analysis import Senses, SenseScore
from clearhead.drawing.inline import SWITCH, both, page_file, policy
from clearhead.drawing.legible import legible
from clearhead.drawing.report.blocks import Curve, Curves
from clearhead.drawing.report.charts import curves
from clearhead.drawing.senses_parts import Chart, Picture, Plane, words
from clearhead.drawing.word_map import looks_of, mark
from clearhead.language import chosen, current

SIDE = 240.0  # of a plane, in points
HEADS = 8  # heads listed for each use


def encoded(found: Senses | SenseScore, shown: Mapping[str, Picture]) -> bytes:
    """The page in UTF-8, in the language that was chosen, else the reader's own; without scripts, in English."""
    style, script = f"{page_file('languages.css')}\n{page_file('senses.css')}", page_file("languages.js")
    titles = [legible(shown[each].title) for each in ("en", "zh")]
    bodies = "\n".join(f'<article lang="{each}">{_body(found, drawn, each)}</article>' for each, drawn in shown.items())
    return (
        f'<!doctype html>\n<html lang="{current()}" data-chosen="{chosen() or ""}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">'
        f"<title>{html.escape(titles[0])}</title><style>{style}</style></head><body>\n"
        f"{SWITCH}\n<h1>{both(*titles)}</h1>\n{bodies}\n<script>{script}</script></body></html>\n"
    ).encode()


def _body(found: Senses | SenseScore, shown: Picture, language: str) -> str:
    says = words(language)
    parts: list[str] = []
    if isinstance(found, Senses):
        parts.append("<ol>" + "".join(f"<li>{_safe(each)}</li>" for each in shown.sentences) + "</ol>")
    parts += [f"<p>{_safe(note)}</p>" for note in shown.notes]
    parts.append("<main>" + "".join(_chart(each, shown) for each in shown.charts) + "</main>")
    if shown.planes:
        parts.append(f"<h2>{_safe(shown.heading)}</h2>{_legend(shown)}")
        planes = "".join(_plane(each, shown) for each in shown.planes)
        parts.append(f'<div class="planes">{planes}</div>')
    if isinstance(found, Senses) and found.uses[0].heads:
        parts.append(_reading(found, says))
    return "\n".join(parts)


def _chart(chart: Chart, shown: Picture) -> str:
    known = [(curve, [(float(x), y) for x, y in enumerate(curve.values) if y is not None]) for curve in chart.curves]
    drawn = curves(
        Curves(
            title=chart.title,
            x=shown.axis,
            y="",
            curves=tuple(
                Curve(name=curve.name, x=tuple(x for x, _ in points), y=tuple(y for _, y in points), level=curve.level)
                for curve, points in known
            ),
            ticks=shown.ticks,
            from_zero=True,
        )
    )
    return f"<section><h2>{_safe(chart.title)}</h2>{drawn}</section>"


def _legend(shown: Picture) -> str:
    return (
        "<ul>"
        + "".join(
            f'<li><svg class="key point" viewBox="-6 -6 12 12">{mark(0, 0, *look)}</svg> {_safe(group)}</li>'
            for group, look in looks_of(shown.groups).items()
        )
        + "</ul>"
    )


def _plane(plane: Plane, shown: Picture) -> str:
    marks = "".join(_points(plane, shown.groups, shown.sentences))
    return (
        f"<section><h3>{_safe(plane.level)}</h3><p>{_safe(plane.note)}</p>"
        f'<svg viewBox="0 0 {SIDE:g} {SIDE:g}" role="img" aria-label="{_safe(plane.level)}">{marks}</svg></section>'
    )


def _points(plane: Plane, groups: Sequence[str], sentences: Sequence[str]) -> Iterator[str]:
    if plane.panel is None:
        places_N2 = np.full((len(groups), 2), SIDE / 2)
    else:
        low_2, high_2 = plane.panel.places_N2.min(0), plane.panel.places_N2.max(0)
        scale = (SIDE - 24) / max(float((high_2 - low_2).max()), 1e-12)
        places_N2 = (plane.panel.places_N2 - (low_2 + high_2) / 2) * scale * np.array([1, -1]) + SIDE / 2
    look = looks_of(groups)
    for (x, y), group, sentence in zip(places_N2.tolist(), groups, sentences, strict=True):
        yield f"<g>{mark(x, y, *look[group])}<title>{_safe(f'{group}: {sentence}')}</title></g>"


def _reading(found: Senses, says: Mapping[str, str]) -> str:
    control = {} if found.control is None else {(each.layer, each.head): each.word for each in found.control.heads}
    rows: list[str] = []
    for number, use in enumerate(found.uses, start=1):
        for each in use.ranked[:HEADS]:
            beside, word = control.get((each.layer, each.head)), each.word
            assert word is not None
            against = "" if beside is None else f"{beside.label} {beside.weight:.3f}"
            cells = (str(number), f"{each.layer}.{each.head}", word.label, f"{word.weight:.3f}", against)
            rows.append("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{_safe(each)}</th>" for each in says["heads"])
    note = says["control_note" if found.control is not None else "no_control"]
    sentence = "" if found.control is None else f"<p>{_safe(found.control.text)}</p>"
    return (
        f"<h2>{_safe(says['attends'])}</h2><p>{_safe(note)}</p>{sentence}<table><thead><tr>{head}</tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table>"
    )


def _safe(text: str) -> str:
    return html.escape(legible(text))
