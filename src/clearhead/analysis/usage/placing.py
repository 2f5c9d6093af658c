"""Which tokens of a text are a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.errors import TextError
from clearhead.language_model import LanguageModel
from clearhead.text import Span, covering, spans_of
from clearhead.text.occurrences import SPACELESS

_WORDS = re.compile(
    rf"{SPACELESS.pattern}|(?:(?!{SPACELESS.pattern})[^\W_])+(?:['’](?:(?!{SPACELESS.pattern})[^\W_])+)*"
)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A text as tokens.

    ids, labels: of every place
    spans: the characters of the text that each place completes; (0, 0) for special tokens around it
    """

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    spans: tuple[Span, ...]

    def of(self, start: int, end: int) -> tuple[int, ...]:
        """The places that hold some of ``text[start:end]``."""
        return tuple(covering(self.spans, start, end))


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A word, a Chinese character, a mark or a special token: its places, and its characters in the text.

    is_word: whether it has letters or digits of the text
    """

    label: str
    places: tuple[int, ...]
    is_word: bool


def place(model: LanguageModel, text: str) -> Placed:
    """The text's tokens, with those the tokenizer puts around it. Raises TextError as ``LanguageModel.encode`` does."""
    ids = model.encode(text, f"senses: the text {text[:40]!r}")
    _, spans = spans_of(model.tokenizer, text)
    spans += [(0, 0)] * (len(ids) - len(spans))  # an empty text has the bos token
    return Placed(
        ids=tuple(ids),
        labels=tuple(model.labels(ids)),
        spans=tuple(spans),
    )


def units(text: str, placed: Placed) -> list[Unit]:
    """The text's words with their places. Tokens that hold several words, as some of Chinese, are one unit."""
    words = [(found.start(), found.end()) for found in _WORDS.finditer(text)]
    made: list[tuple[list[int], bool]] = []
    last: int | None = None  # the word that the place before ended in
    for at, (start, end) in enumerate(placed.spans):
        inside = [number for number, (a, b) in enumerate(words) if a < end and start < b]
        if inside and last is not None and inside[0] == last:
            made[-1][0].append(at)
        else:
            made.append(([at], bool(inside)))
        last = inside[-1] if inside else None
    return [Unit(label=_label(text, placed, places), places=tuple(places), is_word=word) for places, word in made]


def _label(text: str, placed: Placed, places: Sequence[int]) -> str:
    start, end = placed.spans[places[0]][0], placed.spans[places[-1]][1]
    return text[start:end].strip() or "".join(placed.labels[each] for each in places)


def word_places(placed: Placed, start: int, end: int, what: str) -> tuple[int, ...]:
    """The places of a word. Raises TextError if no token holds any of it."""
    places = placed.of(start, end)
    if not places:
        raise TextError(f"{what}: the tokenizer drops this word; use a model whose tokenizer writes it")
    return places
