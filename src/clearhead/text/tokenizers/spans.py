"""Which characters of a text each token holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clearhead.text.tokenizers.tokenizer import Tokenizer

Span = tuple[int, int]  # characters [start, end)


def spans_of(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[Span]]:
    """``encode_document``, and the characters that each id completes: (0, 0) for those around the text.

    The tokens of one character share it.
    """
    ids = tokenizer.encode_document(text)
    ((inner, lengths),) = tokenizer.encode_measured([text])
    byte_at = np.cumsum([0, *(len(character.encode()) for character in text)])
    spans: list[Span] = []
    start = 0
    for end in np.searchsorted(byte_at, np.cumsum(lengths)).tolist():
        spans.append((start, end) if end > start or not spans else spans[-1])
        start = end
    front = len(tokenizer.front) if len(ids) > len(inner) else 0
    return ids, [(0, 0)] * front + spans + [(0, 0)] * (len(ids) - front - len(inner))


def covering(spans: Sequence[Span], start: int, end: int) -> list[int]:
    """The tokens that hold any of the characters [start, end)."""
    return [place for place, (first, last) in enumerate(spans) if first < end and start < last]
