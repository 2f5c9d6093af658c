"""Uses of words: where a word stands in a text, and in which sense it is used there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from clearhead.errors import TextError, many, shown
from clearhead.text import FileSource
from clearhead.text.occurrences import occurrences

COLUMNS = ("word", "sense", "sentence")
NEAR = 5  # words that an error names

_WORDS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class Labelled(Protocol):
    """A use of ``word`` at ``text[start:end]``, in the sense ``sense``.

    groups: what it must not share with the uses it is compared with, by kind: the sentence, the story, the scene
    """

    @property
    def word(self) -> str: ...
    @property
    def sense(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def groups(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, kw_only=True)
class Use:
    """A use of a word, as ``Labelled``; ``sense`` is "" if unknown."""

    word: str
    text: str
    start: int
    end: int
    sense: str = ""
    groups: Mapping[str, str] = field(default_factory=dict[str, str])


def find(word: str, text: str, *, name: str = "the text", **about: str) -> list[Use]:
    """Every use of the word in the text, ignoring case; ``about`` has further fields of a Use, such as ``sense``.

    Raises TextError, with the nearest words, if it is not there.
    """
    if not word.strip():
        raise TextError("senses: the word is empty; give a word of the sentences")
    lower = text.lower()  # which in rare scripts has another length
    places = occurrences(lower, word.lower()) if len(lower) == len(text) else occurrences(text, word)
    if not places:
        there = dict.fromkeys(_WORDS.findall(text))
        near = difflib.get_close_matches(word, there, n=NEAR, cutoff=0.5) or list(there)[:NEAR]
        raise TextError(
            f"{name}: the word {word!r} is not in {shown(text)}; words there: {', '.join(near) or 'none'}. Give "
            "sentences with the word itself"
        )
    return [
        Use(word=word, text=text, start=start, end=start + len(word), groups={"sentence": text}, **about)
        for start in places
    ]


def read_uses(path: str | Path) -> list[Use]:
    """Reads labelled uses: a table with tabs between its cells, whose first line names its columns.

    The columns word, sense and sentence, in any order; with a column ``form``, the word is looked for in that form.
    Every occurrence in a sentence is a use. Raises TextError, with the line number, for a missing column, a row that
    does not match the header, an empty cell or a sentence without the word.
    """
    lines = "".join(FileSource(path).documents()).splitlines()
    header = [cell.strip() for cell in lines[0].split("\t")] if lines else []
    lacking = [column for column in COLUMNS if column not in header]
    if lacking or len(set(header)) < len(header):
        fault = f"it lacks {', '.join(map(repr, lacking))}" if lacking else "a column is named twice"
        raise TextError(
            f"{path}: line 1: the columns are {shown(header)}; {fault}. The first line of a file of uses names its "
            "columns, word, sense and sentence, with tabs between them"
        )
    uses: list[Use] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        name = f"{path}: line {number}"
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(header):
            raise TextError(
                f"{name}: it has {many(len(cells), 'cell')}, and the header {len(header)}: {', '.join(header)}; put "
                "tabs between the cells"
            )
        row = dict(zip(header, cells, strict=True))
        empty = [column for column in COLUMNS if not row[column]]
        if empty:
            raise TextError(f"{name}: the cell {empty[0]!r} is empty; fill it, or leave the line out")
        form = row.get("form") or row["word"]
        uses += [
            Use(word=row["word"], text=use.text, start=use.start, end=use.end, sense=row["sense"], groups=use.groups)
            for use in find(form, row["sentence"], name=name)
        ]
    if not uses:
        raise TextError(f"{path}: it has no uses below its header; a line has a word, a sense and a sentence")
    return uses
