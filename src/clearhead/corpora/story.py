"""A story and its ground truth, both from one string with invisible marks, so they cannot disagree.

The grammar writes ``\\x01payload\\x02words\\x03`` around each word whose meaning is known. Without the marks the string
is the text; the marks give the truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["mention", "pronoun", "role", "sense", "capital", "recall", "sum"]
Span = tuple[int, int]

OPEN, BODY, CLOSE = "\x01", "\x02", "\x03"
_MARKS = re.compile("\x01[^\x02]*\x02|\x03")
_PIECES = re.compile("(\x01[^\x02]*\x02|\x03)")


def mark(kind: str, payload: str, words: str) -> str:
    """``words`` between marks: the letter of a kind of truth (or "f" for a fact) and its payload.

    ``payload`` is who is meant, ``word:sense:scene``, a gender, a country, a sum, or the key of a fact.
    """
    return f"{OPEN}{kind}{payload}{BODY}{words}{CLOSE}"


def unmarked(marked: str) -> str:
    """The text a reader sees."""
    return _MARKS.sub("", marked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """One thing known about ``text[start:end]`` of a story. Places and distances are in characters.

    kind       word                      label                     source
    mention    the words                 who or what is named      its mention before this one
    pronoun    the words                 who or what is meant      the last mention of it by name
    role       the words                 "male" or "female"        None
    sense      the dictionary form       the sense                 None
    capital    the words                 the country               the country's last mention
    recall     the words                 what kind of fact         where the fact was last told
    sum        the words                 the sum, as "3+4"         None

    The source is an earlier span; None if there is none (the first mention of a name). ``scene`` is, for a sense, file
    and line of the text that tells it: what two stories tell in the same scene is told in nearly the same words.
    """

    kind: Kind
    start: int
    end: int
    word: str
    label: str
    source: Span | None = None
    scene: str | None = None

    @property
    def distance(self) -> int | None:
        """Characters from the end of the source to the start of these words; None without a source."""
        return None if self.source is None else self.start - self.source[1]


@dataclass(frozen=True)
class Story:
    """One document. ``plot`` names the plot it follows; ``text`` and ``truth`` are made when first asked for."""

    plot: str
    marked: str

    @cached_property
    def text(self) -> str:
        """The story as a reader sees it."""
        return unmarked(self.marked)

    @cached_property
    def truth(self) -> tuple[Truth, ...]:
        """Everything known, in order of start."""
        return tuple(sorted(_read(self.marked), key=lambda truth: (truth.start, -truth.end)))


_KINDS: dict[str, Kind] = {
    "m": "mention", "p": "pronoun", "g": "role", "s": "sense", "c": "capital", "r": "recall", "a": "sum",
}  # fmt: skip


def _read(marked: str) -> list[Truth]:
    """Walks through the marks, tracking the last mention of each name and the last telling ("f") of each fact."""
    truths: list[Truth] = []
    pending: list[tuple[str, int]] = []  # payload and start of open marks
    mentions: dict[str, Span] = {}
    told: dict[str, Span] = {}
    text = ""
    for piece in _PIECES.split(marked):
        if piece.startswith(OPEN):
            pending.append((piece[1:-1], len(text)))
        elif piece != CLOSE:
            text += piece
        else:
            payload, start = pending.pop()
            letter, about, span = payload[0], payload[1:], (start, len(text))
            if letter == "f":
                told[about] = span
                continue
            word, label, source, scene = text[start:], about, None, None
            if letter == "m":
                source, mentions[about] = mentions.get(about), span
            elif letter == "p":
                source = _last(about, mentions)
            elif letter == "c":
                source = mentions.get(about)
            elif letter == "s":
                word, label, scene = about.split(":", 2)
            elif letter == "r":
                label, source = about.rstrip("0123456789"), told[about]
            known = Truth(
                kind=_KINDS[letter], start=start, end=len(text), word=word, label=label, source=source, scene=scene
            )
            truths.append(known)
    return truths


def _last(about: str, mentions: dict[str, Span]) -> Span | None:
    """The last mention of a name; for a pair "Ada+Ben" not named together, the span of both last mentions."""
    if about in mentions:
        return mentions[about]
    spans = [mentions[name] for name in about.split("+") if name in mentions]
    return (min(s for s, _ in spans), max(e for _, e in spans)) if spans else None
