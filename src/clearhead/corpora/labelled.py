"""The uses of words with several senses in a world's stories, each in its sentence or its paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from clearhead.corpora.shelf import get
from clearhead.errors import OptionError, nearest

Unit = Literal["sentence", "paragraph"]

STORIES = 5000  # about 120 uses of each word
SEED = 1  # models are trained on the stories of seed 0

# English sentences end where no small letter follows ('"Why?" asked Ada.' is one); Chinese ones at their full stops.
_ENDS = {
    "sentence": re.compile(r"[.!?]+[\"'”’]*(?=\s+(?![a-z])|$)|[。！？…]+[”’]*|\n+"),
    "paragraph": re.compile(r"\n+"),
}


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One use of a word: ``text[start:end]`` is a form of ``word``, in the sense ``sense``.

    groups: the numbers or names of the "story" and the "scene" it is from (``Truth.scene``)
    """

    word: str
    sense: str
    text: str
    start: int
    end: int
    groups: Mapping[str, str]


def usages(name: str, *, stories: int = STORIES, seed: int = SEED, unit: Unit = "sentence") -> list[Usage]:
    """Every use in the first ``stories`` stories of ``seed`` of the world ``name``, in the sentence or paragraph.

    Raises OptionError for a corpus without truth, an unknown unit, or fewer than one story.
    """
    if unit not in get_args(Unit):
        raise OptionError(f"unit {unit!r}: there is no such unit{nearest(unit, get_args(Unit))}")
    if stories < 1:
        raise OptionError.of("stories", stories, "at least 1")
    found: list[Usage] = []
    for number, story in enumerate(islice(get(name).stories(seed), stories)):
        for start, end in _spans(story.text, unit):
            found += [
                Usage(
                    word=truth.word,
                    sense=truth.label,
                    text=story.text[start:end],
                    start=truth.start - start,
                    end=truth.end - start,
                    groups={"story": str(number), "scene": truth.scene or ""},
                )
                for truth in story.truth
                if truth.kind == "sense" and start <= truth.start and truth.end <= end
            ]
    return found


def _spans(text: str, unit: Unit) -> Iterator[tuple[int, int]]:
    """Where each unit starts and ends, without white space around it."""
    start = 0
    for end in (*(found.end() for found in _ENDS[unit].finditer(text)), len(text)):
        inside = text[start:end]
        if inside.strip():
            yield start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
        start = end
