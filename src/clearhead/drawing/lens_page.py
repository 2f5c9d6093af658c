"""The logit lens as a self-contained page. It makes no network requests."""

from __future__ import annotations

from functools import partial

from clearhead.analysis import Lens
from clearhead.drawing import colours
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.drawing.lens_table import numbers
from clearhead.language import LANGUAGES

words = partial(phrases, "lens_words.json")


def encoded(found: Lens) -> bytes:
    """The page in UTF-8, in the language that was chosen, or else the reader's own.

    As in page.py, the data is one block of inert JSON, and the policy allows no other script or style.
    """
    data = {
        "words": {each: words(each) for each in LANGUAGES},
        "colours": {"light": colours.LIGHT, "dark": colours.DARK},
        "shown": [legible(token) for token in found.tokenized.tokens],
        "labels": {str(token): legible(label) for token, label in found.labels.items()},
        "lens": numbers(found),
    }
    styles = ("page.css", "lens.css")
    text = found.tokenized.text or "".join(found.tokenized.pieces)
    before, after = around("lens.html", scripts=["lens.js"], styles=styles, model=found.model, text=text)
    return (before + inert_json(data) + after).encode()
