"""Places of a text by word, or counted from its end, and edits whose places are given so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from clearhead.errors import WatchError
from clearhead.tap import Site, own_stack
from clearhead.text.occurrences import SPACELESS, occurrences
from clearhead.watching.edits import Edit, Patch, Place

# A space these scripts would not write: between two of their characters or wide punctuation marks.
_WIDE = f"(?:{SPACELESS.pattern}|[\u3001-\u303f\uff01-\uffef])"
_APART = re.compile(f"(?<={_WIDE}) (?={_WIDE})")

# How many tokens an error message lists.
LISTED = 64

# The fields of edits that are places of the text itself.
FIELDS = ("at", "query", "key")


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


def placed(edits: Sequence[Edit], texts: Mapping[tuple[int, str], HasTokens]) -> tuple[Edit, ...]:
    """The edits with every place by its number.

    texts: by number and stack. An edit of all texts whose place is a word, or counts from the end, becomes one for each
    text. Raises WatchError if a text has no such place, or a word ends at several.
    """
    found: list[Edit] = []
    numbers = list(dict.fromkeys(number for number, _ in texts))
    for edit in edits:
        if isinstance(edit, Patch) and edit.source_at is not None:
            source = edit.source.tokenized(edit.stack or edit.source.stack)
            edit = replace(edit, source_at=_numbered(edit, "source_at", source))
        if not placed_by_word(edit):
            found.append(edit)
            continue
        stack = _stack(edit, {stack for _, stack in texts})
        read = Site(0, edit.kind, stack).reads
        for number in numbers if edit.text is None else [edit.text]:
            if number not in numbers:
                raise WatchError(f"{edit}: there is no text {number}; there are {', '.join(map(str, numbers))}")
            fields: dict[str, Any] = {
                name: _numbered(edit, name, texts[number, read if name == "key" else stack])
                for name in FIELDS
                if getattr(edit, name, None) is not None
            }
            fields |= {name: fields[name][0] for name in ("query", "key") if name in fields}
            found.append(replace(edit, **fields, text=number if len(numbers) > 1 else edit.text))
    return tuple(found)


def _stack(edit: Edit, stacks: set[str]) -> str:
    """The stack whose text has the edit's places."""
    if edit.stack is None and len(stacks) > 1 and edit.kind != "cross":
        raise WatchError(f"{edit}: its places could be of the {' or the '.join(sorted(stacks))}; name the stack")
    stack = own_stack(stacks) if edit.stack is None else edit.stack
    if stack not in stacks:
        raise WatchError(f"{edit}: there is no text of the {stack}; the model has the {', the '.join(sorted(stacks))}")
    return stack


def placed_by_word(edit: Edit) -> bool:
    """True if a place of the edit is a word, or counts from the end."""
    return any(isinstance(place, str) or place < 0 for name in FIELDS for place in _given(edit, name))


def _given(edit: Edit, name: str) -> tuple[Place, ...]:
    given = getattr(edit, name, None)
    return () if given is None else given if isinstance(given, tuple) else (given,)


def _numbered(edit: Edit, name: str, text: HasTokens) -> tuple[int, ...]:
    return tuple(_place(edit, name, place, text) for place in _given(edit, name))


def _place(edit: Edit, name: str, place: Place, text: HasTokens) -> int:
    count = len(text.tokens)
    if isinstance(place, str):
        found = ends(text, place) if place.strip() else []
        if len(found) == 1:
            return found[0]
        fault = f"it ends at {len(found)} places" if found else "the text has no such word"
        way = "give the place" if found else "name a word of the text, or a place"
        raise WatchError(f"{edit}: {name} is {place!r}: {fault}; {way}: {_listed(text, found or range(count))}")
    number = place + count if place < 0 else place
    if not 0 <= number < count:
        raise WatchError(f"{edit}: {name} is {place}; the places are 0 to {count - 1}: {_listed(text, range(count))}")
    return number


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
