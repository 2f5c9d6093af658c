"""Encoding by table, for tokenizers of single bytes or characters: 50 to 120 times the library's speed."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tokenizers

from clearhead.errors import TextError
from clearhead.text.tokenizers.learned import BYTE_TOKENS, byte_characters

Codes = npt.NDArray[np.uint32]

_NONE = 2**32 - 1  # no vocabulary is that large


@dataclass(frozen=True, kw_only=True, eq=False)
class LookupTable:
    """Ids by byte, [256], or [0] if the bytes are no tokens; by code point, or None if only bytes are.

    added: ids of the tokens that are found in a text first
    """

    by_byte: Codes
    by_character: Codes | None
    added: Mapping[str, int]

    def encode(self, text: str) -> Codes:
        """The ids of a text. Raises TextError for a character without an id if there are no bytes."""
        found: list[Codes] = []
        place = 0
        for cut in re.finditer("|".join(map(re.escape, self.added)), text):
            found += [self._ids(text[place : cut.start()]), np.array([self.added[cut[0]]], dtype=np.uint32)]
            place = cut.end()
        return np.concatenate([*found, self._ids(text[place:])])

    def _ids(self, text: str) -> Codes:
        if self.by_character is None:
            return self._of_bytes(text)
        ids = self.by_character[np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)]
        lacking = ids == _NONE
        places = np.flatnonzero(lacking)
        if not places.size:
            return ids
        if not self.by_byte.size:
            raise self._unknown(text, int(places[0]), self.by_character)
        others = [text[place] for place in places]
        lengths = np.ones(len(ids), dtype=np.int64)
        lengths[places] = [len(character.encode()) for character in others]
        whole = np.repeat(ids, lengths)
        whole[np.repeat(lacking, lengths)] = self._of_bytes("".join(others))
        return whole

    def _of_bytes(self, text: str) -> Codes:
        return self.by_byte[np.frombuffer(text.encode(), dtype=np.uint8)]

    @staticmethod
    def _unknown(text: str, place: int, by_character: Codes) -> TextError:
        around = text[max(0, place - 10) : place + 10]
        return TextError(
            f"the character {text[place]!r} (U+{ord(text[place]):04X}) in {around!r} is not among the "
            f"{np.count_nonzero(by_character != _NONE)} this tokenizer learned; remove it, or learn a bpe or bytes "
            "tokenizer, which know every character"
        )


def table_of(kind: str, library: tokenizers.Tokenizer) -> LookupTable | None:
    """The table of a tokenizer of this kind; None unless its tokens are single bytes or characters."""
    if kind not in ("bytes", "characters"):
        return None
    ids = library.get_vocab(with_added_tokens=False)
    added = {token.content: each for each, token in library.get_added_tokens_decoder().items()}
    if kind == "bytes":
        known = byte_characters()
        by_byte = _table(256, {known[token]: each for token, each in ids.items()})
        return LookupTable(by_byte=by_byte, by_character=None, added=added)
    bytes_ = {BYTE_TOKENS[token]: each for token, each in ids.items() if token in BYTE_TOKENS}
    others = {ord(token): each for token, each in ids.items() if token not in BYTE_TOKENS}
    return LookupTable(
        by_byte=_table(256 if bytes_ else 0, bytes_),
        by_character=_table(sys.maxunicode + 1, others),
        added=added,
    )


def _table(size: int, ids: Mapping[int, int]) -> Codes:
    table = np.full(size, _NONE, dtype=np.uint32)
    table[list(ids)] = list(ids.values())
    return table
