"""What pages and pictures say in each language."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from clearhead.drawing.inline import page_file


@cache
def phrases(file: str, language: str) -> dict[str, Any]:
    """The phrases of a file of page_files in this language."""
    return json.loads(page_file(file))[language]
