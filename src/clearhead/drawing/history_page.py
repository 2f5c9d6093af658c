"""How the heads of a run form, as a self-contained page. It makes no network requests."""

from __future__ import annotations

from functools import partial

from clearhead.analysis import History
from clearhead.drawing import atlas_page
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.language import LANGUAGES

SCRIPTS = ("elements.js", "history.js")

words = partial(phrases, "history_words.json")


def encoded(found: History) -> bytes:
    """The page in UTF-8. As in page.py, the data is inert JSON, and the policy allows no other script or style."""
    data = {
        "words": {each: words(each) | {"columns": atlas_page.words(each)["columns"]} for each in LANGUAGES},
        "run": legible(found.run),
        "text": legible(found.text),
        "tokens": found.atlases[0].tokens,
        "steps": list(found.steps),
        "loss": None if found.loss is None else list(found.loss),
        "measures": list(found.measures),
        "heads": [
            {
                "name": same[0].name,
                "values": {measure: [row.values[measure] for row in same] for measure in found.measures},
            }
            for same in zip(*found.atlases, strict=True)
        ],
    }
    styles = ("page.css", "history.css")
    before, after = around("history.html", scripts=SCRIPTS, styles=styles, model=found.run, text=found.text)
    return (before + inert_json(data) + after).encode()
