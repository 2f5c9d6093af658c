"""Edits whose places are given by word, or counted from the end of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clearhead.errors import WatchError
from clearhead.tap import Site, own_stack
from clearhead.watching.edits import Edit, Patch, Place
from clearhead.watching.finding import HasTokens, place_of

# The fields of edits that are places of the text itself.
FIELDS = ("at", "query", "key")


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
    return tuple(place_of(text, place, str(edit), name) for place in _given(edit, name))
