"""Places of a text by word, or counted from its end. A word stands for the place of its last token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Protocol

from clearhead.errors import WatchError
from clearhead.text.occurrences import SPACELESS, occurrences

# A space these scripts would not write: between two of their characters or wide punctuation marks.
_WIDE = f"(?:{SPACELESS.pattern}|[\u3001-\u303f\uff01-\uffef])"
_APART = re.compile(f"(?<={_WIDE}) (?={_WIDE})")

# How many tokens an error message lists.
LISTED = 64


class HasTokens(Protocol):
    """A text's token labels, and the characters each place completes."""

    tokens: list[str]
    pieces: list[str]


def ends(text: HasTokens, word: str) -> list[int]:
    """The places where a word ends; in scripts with spaces, only whole words count.

    It is looked up in the text, in lower case if it is not there (many encoders' tokenizers lower-case the text), and
    then among the token labels.
    """
    return (
        _ends(text.pieces, word.strip())
        or _ends(text.pieces, word.strip().lower())
        or [place for place, label in enumerate(text.tokens) if label == word]
    )


def place_of(text: HasTokens, place: int | str, what: str, name: str) -> int:
    """The number of a place that is given by number, from the end if negative, or as a word.

    Raises WatchError, which begins with ``what`` and calls the place ``name``, if the text has no such place, or the
    word ends at several.
    """
    count = len(text.tokens)
    if isinstance(place, str):
        found = ends(text, place) if place.strip() else []
        if len(found) == 1:
            return found[0]
        fault = f"it ends at {len(found)} places" if found else "the text has no such word"
        way = "give the place" if found else "name a word of the text, or a place"
        raise WatchError(f"{what}: {name} is {place!r}: {fault}; {way}: {_listed(text, found or _near(text, place))}")
    number = place + count if place < 0 else place
    if not 0 <= number < count:
        raise WatchError(f"{what}: {name} is {place}; the places are 0 to {count - 1}: {_listed(text, range(count))}")
    return number


def _near(text: HasTokens, word: str) -> Sequence[int]:
    """All places or, of a long text, those of tokens spelled like the word, if there are any."""
    every = range(len(text.tokens))
    if len(every) <= LISTED:
        return every
    pieces = [piece.strip() for piece in text.pieces]
    near = get_close_matches(word.strip(), set(pieces) - {""}, n=8)
    return [place for place, piece in enumerate(pieces) if piece in near] or every


def _listed(text: HasTokens, places: Sequence[int]) -> str:
    shown = ", ".join(f"{place} {text.tokens[place]}" for place in places[:LISTED])
    return shown if len(places) <= LISTED else f"{shown}, and {len(places) - LISTED} more"


def _ends(pieces: Sequence[str], word: str) -> list[int]:
    """The places where an occurrence of the word ends; in scripts with spaces, only whole words count.

    BERT's tokenizers put a space between any two Chinese characters; such spaces are ignored in text and word alike.
    """
    whole = "".join(pieces)
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    apart = {found.start() for found in _APART.finditer(whole)}
    text = "".join(char for at, char in enumerate(whole) if at not in apart)
    place_of = [place for at, place in enumerate(places) if at not in apart]
    word = _APART.sub("", word)
    return [place_of[start + len(word) - 1] for start in occurrences(text, word)]
