"""The logit lens as a self-contained page. It makes no network requests."""

from __future__ import annotations

import html
import json
from functools import cache
from typing import Any

from clearhead.analysis import Lens
from clearhead.drawing import colours
from clearhead.drawing.inline import inert_json, page_file, policy
from clearhead.drawing.legible import legible
from clearhead.drawing.lens_table import heading, numbers

LANGUAGES = ("en", "zh")


@cache
def words(language: str) -> dict[str, Any]:
    """What the page says, in this language."""
    return json.loads(page_file("lens_words.json"))[language]


def encoded(found: Lens, language: str | None) -> bytes:
    """The page in UTF-8, in one of LANGUAGES; None means the reader's own.

    As in page.py, the data is one block of inert JSON, and the policy allows no other script or style.
    """
    script, style = page_file("lens.js"), page_file("page.css") + page_file("lens.css")
    data = {
        "language": language,
        "words": {each: words(each) for each in LANGUAGES},
        "colours": {"light": colours.LIGHT, "dark": colours.DARK},
        "shown": [legible(token) for token in found.words.tokens],
        "labels": {str(token): legible(label) for token, label in found.labels.items()},
        "lens": numbers(found),
    }
    before, after = page_file("lens.html").split("{{data}}")
    # The title last: it is untrusted text that may contain such a name.
    for name, value in (
        ("policy", policy(script=script, style=style)),
        ("style", style),
        ("title", html.escape(heading(found))),
    ):
        before = before.replace("{{" + name + "}}", value)
    return (before + inert_json(data) + after.replace("{{script}}", script)).encode()
