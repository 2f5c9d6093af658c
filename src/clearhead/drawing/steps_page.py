"""One attention head step by step, as a self-contained page. It makes no network requests."""

from __future__ import annotations

import inspect
from functools import partial
from textwrap import dedent
from typing import Any

from clearhead.analysis import Steps, by_hand
from clearhead.drawing import steps_export
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.language import LANGUAGES

SCRIPTS = ("steps_data.js", "steps_parts.js", "steps.js")
STYLES = ("page.css", "steps.css")

# Next to each step, the page shows the lines of ``by_hand.attention`` that contain these words, and these functions.
BESIDE: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "project": (("for name in", "made[name]"), (by_hand.product,)),
    "norm": ((" normed(",), (by_hand.normed,)),
    "turn": ((" turned(",), (by_hand.turned,)),
    "score": (('made["products"] =',), ()),
    "scale": (('made["scores"] =',), (by_hand.scores,)),
    "mask": (("masked(",), (by_hand.masked,)),
    "softmax": (("softmax(",), (by_hand.softmax,)),
    "mix": (('made["mixed"] =',), (by_hand.mixed,)),
    "out": (('made["share"] =', 'made["output"] ='), (by_hand.added,)),
}


words = partial(phrases, "steps_words.json")


def code(step: str) -> str:
    """The Python code of one step: the calls, then the functions."""
    marks, functions = BESIDE[step]
    lines = [line for line in inspect.getsource(by_hand.attention).splitlines() if any(mark in line for mark in marks)]
    return "\n\n".join([dedent("\n".join(lines)), *(inspect.getsource(function).rstrip() for function in functions)])


def encoded(steps: Steps, query: int) -> bytes:
    """The page in UTF-8, in the language that was chosen, or else the reader's own.

    As in page.py, the data is one block of inert JSON, and the policy allows no other script or style.
    """
    data = {
        "labels": [legible(token) for token in steps.record.tokens],
        "words": {each: words(each) for each in LANGUAGES},
        "code": {step: code(step) for step in BESIDE},
        "program": inspect.getsource(by_hand),
        "head": steps_export.numbers(steps, query),
    }
    before, after = around(
        "steps.html", scripts=SCRIPTS, styles=STYLES, model=steps.record.model, text=steps.text or ""
    )
    return (before + inert_json(data) + after).encode()
