"""One query of one head, step by step, in the model's own numbers and again in plain Python."""

from __future__ import annotations

import inspect
import math
import shlex
from dataclasses import dataclass
from typing import Any

from clearhead.analysis import by_hand, observe, steps
from clearhead.drawing import draw_steps
from clearhead.drawing.focus import focus_on
from clearhead.drawing.legible import scientific
from clearhead.drawing.report import Bars, Code, Link, Report, Table
from clearhead.drawing.steps_export import numbers
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases

SHOWN = 4  # numbers of a row that a table shows
AGREE = 1e-4  # of the largest number of a step: float32 in the pass, Python's own floats by hand
PAGE = "qkv-steps.html"


@dataclass(frozen=True, kw_only=True)
class QkvFound:
    """One query (row) of one head over the keys of a text. Widths: E the model's, D the head's.

    hidden: by key, why the mask hides it, or None; products, scores, weights: by key
    query_D, keys_KD, values_KD, mixed_D: as the pass computed them, positions applied
    output_E: what the whole attention adds for the query's token, of all heads
    names, apart: the steps, and how far plain Python is from the pass at each, as a share of the largest number there
    """

    model: str
    text: str
    tokens: tuple[str, ...]
    layer: int
    head: int
    heads: int
    width: int
    place: int
    scale: float
    turned: bool
    query_D: tuple[float, ...]
    keys_KD: tuple[tuple[float, ...], ...]
    values_KD: tuple[tuple[float, ...], ...]
    hidden: tuple[str | None, ...]
    products: tuple[float, ...]
    scores: tuple[float, ...]
    weights: tuple[float, ...]
    mixed_D: tuple[float, ...]
    output_E: tuple[float, ...]
    names: tuple[str, ...]
    apart: tuple[float, ...]


def run(bench: Bench) -> QkvFound:
    """Follows the last word through the head that ``focus_on`` picks; also draws every number."""
    model, text = bench.model(), bench.texts.steps
    focus = focus_on(observe(model, text), layer=None, head=None, query=None)
    found = steps(model, text, layer=focus.site.layer, head=focus.head)
    draw_steps(found, bench.folder / PAGE, query=focus.row)
    head: dict[str, Any] = numbers(found, focus.row)
    by_python = by_hand.attention(head)
    taken: dict[str, Any] = head["steps"]
    query, key = (next(n for n in (f"turned_{x}", f"normed_{x}", x) if n in taken) for x in ("query", "key"))
    place = focus.row
    return QkvFound(
        model=model.name or bench.setting.corpus,
        text=text,
        tokens=tuple(head["tokens"]),
        layer=head["layer"],
        head=head["head"],
        heads=head["heads"],
        width=len(taken["output"][0]),
        place=place,
        scale=head["rules"]["scale"],
        turned=head["turn"] is not None,
        query_D=tuple(taken[query][place]),
        keys_KD=tuple(map(tuple, taken[key])),
        values_KD=tuple(map(tuple, taken["value"])),
        hidden=tuple(head["hidden"][place]),
        products=tuple(taken["products"][place]),
        scores=tuple(taken["scores"][place]),
        weights=tuple(taken["weights"][place]),
        mixed_D=tuple(taken["mixed"][place]),
        output_E=tuple(taken["output"][place]),
        names=tuple(by_python),
        apart=tuple(by_hand.difference(rows, taken[name]) / _largest(rows) for name, rows in by_python.items()),
    )


def report(found: QkvFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    T, D, E = len(found.tokens), len(found.query_D), found.width
    total, worst = sum(found.weights), max(found.apart)
    holds = worst <= AGREE and math.isclose(total, 1, abs_tol=AGREE)
    most = max(range(T), key=found.weights.__getitem__)
    token = found.tokens[found.place]
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds="yes" if holds else "no",
        verdict=says(
            "verdict",
            token=token,
            most=found.tokens[most],
            weight=f"{found.weights[most]:.3f}",
            steps=len(found.names),
            worst=scientific(worst),
        ),
        blocks=(
            Table(
                title=says("shapes"),
                header=says.listed("shapes_header"),
                rows=(
                    ("X", f"{T} × {E}", says("x")),
                    ("Q = X W_Q", f"{T} × {D}", says("q")),
                    ("K = X W_K", f"{T} × {D}", says("k")),
                    ("V = X W_V", f"{T} × {D}", says("v")),
                    (f"S = Q Kᵀ × {found.scale:.4f}", f"{T} × {T}", says("s", width=D)),
                    ("A = softmax(S + mask)", f"{T} × {T}", says("a")),
                    ("O = A V", f"{T} × {D}", says("o")),
                    (says("joined_name", heads=found.heads), f"{T} × {found.heads * D}", says("joined")),
                    (says("out_name"), f"{T} × {E}", says("out")),
                ),
                note=says("turned") if found.turned else "",
            ),
            Table(
                title=says("scores", token=token, layer=found.layer, head=found.head),
                header=says.listed("scores_header"),
                rows=tuple(
                    (
                        label,
                        _first(found.keys_KD[key]),
                        f"{found.products[key]:.3f}",
                        f"{found.scores[key]:.3f}",
                        "−∞" if found.hidden[key] else "0",
                        f"{found.weights[key]:.4f}",
                    )
                    for key, label in enumerate(found.tokens)
                ),
                note=says("scores_note", query=_first(found.query_D), shown=SHOWN, width=D, total=f"{total:.6f}"),
            ),
            Bars(
                title=says("weights", token=token),
                labels=found.tokens,
                values=found.weights,
            ),
            Table(
                title=says("values"),
                header=says.listed("values_header"),
                rows=(
                    *(
                        (
                            label,
                            f"{found.weights[key]:.4f}",
                            _first(found.values_KD[key]),
                            _first([found.weights[key] * value for value in found.values_KD[key]]),
                        )
                        for key, label in enumerate(found.tokens)
                    ),
                    (says("sum"), f"{total:.4f}", "", _first(found.mixed_D)),
                ),
                note=says("values_note", width=E, output=_first(found.output_E)),
            ),
            Code(title=says("python"), text=_source()),
            Table(
                title=says("checked"),
                header=says.listed("checked_header"),
                rows=tuple((name, scientific(far)) for name, far in zip(found.names, found.apart, strict=True)),
                note=says("checked_note"),
            ),
            Link(text=says("page"), file=PAGE),
        ),
        repeat=(
            f"clearhead steps {says('model')} {shlex.quote(found.text)} --layer {found.layer} --head {found.head}",
            f"clearhead steps {says('model')} {shlex.quote(found.text)} --layer {found.layer} --head {found.head} "
            "--out steps.html",
        ),
    )


def _largest(rows: by_hand.Rows) -> float:
    return max(abs(value) for row in rows for value in row) or 1.0


def _first(row: Any) -> str:
    """The first numbers of a row; -0.00 is 0.00."""
    return " ".join(f"{round(value, 2) + 0.0:.2f}" for value in row[:SHOWN]) + (" …" if len(row) > SHOWN else "")


def _source() -> str:
    """The steps in plain Python, as they ran."""
    parts = (by_hand.product, by_hand.scores, by_hand.masked, by_hand.softmax, by_hand.mixed)
    return "\n\n".join(inspect.getsource(each).rstrip() for each in parts)


EXPERIMENT = Experiment(name="qkv", needs=("model",), found=QkvFound, run=run, report=report)
