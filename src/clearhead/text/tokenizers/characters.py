"""Which characters a text has, and whether they should be the units of its tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from clearhead.text.scripts import LARGE
from clearhead.text.tokenizers.pieces import PIECE, TextBlock

Units = Literal["bytes", "characters"]

# Of the characters that are not white space. Chinese sentences beside their English (Tatoeba) have 0.24, Lu Xun 0.86.
LARGE_SHARE = 0.2
SEEN = 2  # times that a character or a pair must occur to become a token; once may be an accident
# Least share of the text for a character to become a token: each token costs time at every step, and a rare one learns
# little. Of 13 MB of novels 4,012 characters of 7,368 remain, 99.6 % of the text.
RARE = 4e-6


class Characters:
    """How often each character occurs in texts."""

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.int64] = np.zeros(sys.maxunicode + 1, dtype=np.int64)
        self._waiting: list[str] = []
        self._held = 0

    def add(self, text: str) -> None:
        self._waiting.append(text)
        self._held += len(text)
        if self._held >= PIECE:  # counting takes as long as the largest code point, so not for every short text
            self._count()

    def passing(self, blocks: Iterable[TextBlock]) -> Iterator[TextBlock]:
        """The same blocks, counted as they pass."""
        for block in blocks:
            self.add(block.text)
            yield block

    def units(self) -> Units:
        """Characters if at least LARGE_SHARE of the text is in a large script, else bytes."""
        counts = self._count()
        spaces = sum(int(counts[code]) for code in np.flatnonzero(counts) if chr(code).isspace())
        return "characters" if self._large() >= LARGE_SHARE * max(1, counts.sum() - spaces) else "bytes"

    def has_large_script(self) -> bool:
        """Whether any character is of a large script; no text has all characters of one."""
        return self._large() > 0

    def all(self) -> list[str]:
        """Every character, in code point order."""
        return [chr(code) for code in np.flatnonzero(self._count())]

    def frequent(self, most: int | None = None) -> list[str]:
        """Those that occur at least SEEN times and are not RARE, at most ``most`` of them, the most frequent first."""
        counts = self._count()
        codes = np.flatnonzero(counts >= max(SEEN, RARE * counts.sum()))
        return [chr(code) for code in codes[np.argsort(-counts[codes], kind="stable")][:most]]

    def _large(self) -> int:
        counts = self._count()
        return sum(int(counts[first : last + 1].sum()) for first, last in LARGE)

    def _count(self) -> npt.NDArray[np.int64]:
        text = "".join(self._waiting)
        self._waiting, self._held = [], 0
        found = np.bincount(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32))
        self._counts[: len(found)] += found
        return self._counts
