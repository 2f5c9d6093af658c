"""What each token stands for, how many bytes, and which tokens belong to the same word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from clearhead.text.scripts import SPACELESS, within
from clearhead.text.tokenizers.learned import byte_characters

Bools = npt.NDArray[np.bool_]


def parts_of(vocabulary: Mapping[str, int], *, bytewise: bool, fallback: bool, joins: bool) -> dict[int, bytes]:
    """What each id adds to a text: exact if texts are joined from bytes (``joins``), else for display.

    bytewise: tokens spell bytes as characters (byte_characters). fallback: tokens such as <0x0A> are bytes
    """
    characters = byte_characters()
    parts: dict[int, bytes] = {}
    for text, token in vocabulary.items():
        if bytewise and all(character in characters for character in text):
            parts[token] = bytes(characters[character] for character in text)
        elif fallback and re.fullmatch("<0x[0-9A-F]{2}>", text):
            parts[token] = bytes.fromhex(text[3:5])
        else:
            parts[token] = (text if joins else text.replace("▁", " ")).encode()
    return parts


def bytes_between(text: str, ends: Sequence[int]) -> npt.NDArray[np.int32]:
    """Bytes of UTF-8 from each end (a place in the text, in characters) to the next, the last to the text's end."""
    byte_at = np.fromiter(accumulate((len(character.encode()) for character in text), initial=0), dtype=np.int64)
    rising = np.maximum.accumulate(np.array(ends, dtype=np.int64))
    rising[-1:] = len(text)
    return np.diff(byte_at[rising], prepend=0).astype(np.int32)


def word_edges(parts: Mapping[int, bytes], size: int, prefix: str | None) -> tuple[Bools, Bools]:
    """Which ids can continue a word, and which can be continued, [size] each.

    A token continues the word of the one before if the first array is true of it and the second of the one before:
    they meet in letters or digits, or inside a character. With a ``prefix`` (WordPiece's ##), tokens that begin with it
    continue a word, and no others. ``parts`` are the bytes of each id.
    """
    begins, ends = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    for token, part in parts.items():
        if prefix is not None:
            begins[token], ends[token] = part.startswith(prefix.encode()), True
            continue
        whole = part.lstrip(bytes(range(0x80, 0xC0)))  # without the end of a character that another token begins
        text = whole.decode("utf-8", "ignore")
        # The beginning of a character is in a word if it takes two bytes: Latin, Greek, Cyrillic, Hebrew, Arabic.
        lead = not text and b"\xc2" <= whole[:1] <= b"\xdf"
        begins[token] = whole != part or lead or _in_word(text[:1])
        ends[token] = not whole or text.encode() != whole or _in_word(text[-1:])
    return begins, ends


def _in_word(character: str) -> bool:
    if not character or unicodedata.category(character)[0] not in "LMN":
        return False
    # Without spaces, each token is a word of its own (for Chinese see Devlin et al. 2019, whose code puts spaces around
    # each character).
    return not within(character, SPACELESS)
