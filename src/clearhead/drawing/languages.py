"""The languages of pages and pictures, and what these say in each."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from clearhead.drawing.inline import page_file
from clearhead.errors import OptionError

LANGUAGES = ("en", "zh")


@cache
def phrases(file: str, language: str) -> dict[str, Any]:
    """The phrases of a file of page_files in this language."""
    return json.loads(page_file(file))[language]


def check_language(language: str | None) -> None:
    """Raises OptionError for a language that there are no phrases in; None is the reader's own."""
    if language is not None and language not in LANGUAGES:
        raise OptionError(f"language {language!r} is not known; take {' or '.join(LANGUAGES)}")
