"""An atlas as a self-contained page: grids of layers and heads, and a table to sort. It makes no network requests."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from clearhead.drawing import colours
from clearhead.drawing.atlas_grid import grids, in_order
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.language import LANGUAGES
from clearhead.watching import Atlas

SCRIPTS = ("elements.js", "atlas_data.js", "atlas.js")
STYLES = ("page.css", "atlas.css")


words = partial(phrases, "atlas_words.json")


def encoded(atlas: Atlas) -> bytes:
    """The page in UTF-8. As in page.py, the data is inert JSON, and the policy allows no other script or style."""
    made = grids(atlas)
    sites = in_order(row.site for row in atlas.rows)
    data = {
        "model": None if atlas.model is None else legible(atlas.model),
        "text": legible(atlas.text or ""),
        "tokens": atlas.tokens,
        "words": {each: words(each) for each in LANGUAGES},
        "columns": list(atlas.columns),
        "heads": [
            {"name": row.name, "row": sites.index(row.site), "head": row.head, "values": list(row.values.values())}
            for row in atlas.rows
        ],
        "layers": len({(site.stack, site.layer) for site in sites}),
        "grids": [
            {"column": grid.column, "shades": _plain(grid.shades_LH), "values": _plain(grid.values_LH)} for grid in made
        ],
        "colours": {"light": colours.LIGHT, "dark": colours.DARK},
    }
    before, after = around("atlas.html", scripts=SCRIPTS, styles=STYLES, model=atlas.model, text=atlas.text or "")
    return (before + inert_json(data) + after).encode()


def _plain(values_LH: Any) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in values_LH]
