"""A sweep as a self-contained page: the grid of changes, and all edits as a table. It makes no network requests."""

from __future__ import annotations

from functools import partial
from typing import Any

from clearhead.analysis import Sweep
from clearhead.drawing import colours
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.drawing.sweep_table import SweepGrid, grid
from clearhead.language import LANGUAGES, speaking, spoken

SCRIPTS = ("elements.js", "sweep.js")

words = partial(phrases, "sweep_words.json")


def encoded(found: Sweep) -> bytes:
    """The page in UTF-8. As in page.py, the data is inert JSON, and the policy allows no other script or style."""
    cells = grid(found)
    numbers = None if cells is None else {"columns": list(cells.columns), "cells": list(map(list, cells.entries))}
    data = {
        "words": {each: words(each) | _named(found, cells, each) for each in LANGUAGES},
        "model": None if found.model is None else legible(found.model),
        "text": legible(found.heading),
        "tokens": [legible(token) for token in found.tokens],
        "place": found.place,
        "base": found.base,
        "by": found.by,
        "entries": [
            {"name": legible(entry.name), "value": entry.value, "change": entry.change} for entry in found.entries
        ],
        "grid": numbers,
        "colours": {"less": colours.LESS, "more": colours.MORE, "none": colours.DARK[0]},
    }
    styles = ("page.css", "sweep.css")
    before, after = around("sweep.html", scripts=SCRIPTS, styles=styles, model=found.model, text=found.heading)
    return (before + inert_json(data) + after).encode()


def _named(found: Sweep, cells: SweepGrid | None, language: str) -> dict[str, Any]:
    """The words that depend on the sweep, in one language."""
    with speaking(language):
        named: dict[str, Any] = {"measure": spoken(legible(found.measure))}
        if cells is not None:
            named["grid"] = {"across": spoken(cells.across), "rows": list(map(spoken, cells.rows))}
    return named
