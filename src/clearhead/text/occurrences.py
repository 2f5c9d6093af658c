"""Where a word stands in a text, in scripts with spaces between words and without."""

from __future__ import annotations

import re

from clearhead.text import scripts

SPACELESS = re.compile(f"[{scripts.set_of(scripts.SPACELESS)}]")  # a character of a script without spaces


def occurrences(text: str, word: str) -> list[int]:
    """Where the word stands in the text; in scripts with spaces, only whole words count."""
    found: list[int] = []
    start = text.find(word)
    while start >= 0:
        stop = start + len(word)
        cut = (start > 0 and _joined(text[start - 1], word[0])) or (stop < len(text) and _joined(word[-1], text[stop]))
        if not cut:
            found.append(start)
        start = text.find(word, start + 1)
    return found


def _joined(left: str, right: str) -> bool:
    """True when both characters belong to the same word, in a script with spaces between words."""
    return all((char.isalnum() or char == "_") and not SPACELESS.match(char) for char in (left, right))
