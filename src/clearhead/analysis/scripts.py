"""Where words end, in scripts with spaces between words and without."""

from __future__ import annotations

import re

# Scripts written without spaces between words: Thai, Lao, Khmer, kana, Chinese characters.
SPACELESS = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def joined(left: str, right: str) -> bool:
    """True when both characters belong to the same word, in a script with spaces between words."""
    return all((char.isalnum() or char == "_") and not SPACELESS.match(char) for char in (left, right))


def occurrences(text: str, word: str) -> list[int]:
    """Where the word stands in the text; in scripts with spaces, only whole words count."""
    found: list[int] = []
    start = text.find(word)
    while start >= 0:
        stop = start + len(word)
        cut = (start > 0 and joined(text[start - 1], word[0])) or (stop < len(text) and joined(word[-1], text[stop]))
        if not cut:
            found.append(start)
        start = text.find(word, start + 1)
    return found
