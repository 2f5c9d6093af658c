"""The words of a text, counted."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearhead.errors import TextError
from clearhead.text import scripts

Ids = npt.NDArray[np.int64]

_CHINESE = scripts.set_of(scripts.HAN)
HAN = re.compile(f"[{_CHINESE}]+")
_RUNS = re.compile(f"[{_CHINESE}]+|[^\\W\\d_{_CHINESE}]+")

AT_LEAST = 5  # fewest occurrences of a word that is kept (word2vec's default)


@dataclass(frozen=True, kw_only=True, eq=False)
class Counted:
    """The frequent words of a text, most frequent first, and the text as their numbers, document by document.

    Rarer words are dropped from the text, as in word2vec.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    documents: tuple[Ids, ...]


def count(documents: Iterable[str], known: Collection[str] = (), at_least: int = AT_LEAST) -> Counted:
    """Counts words (``split_words``). Raises TextError if no word occurs ``at_least`` times."""
    numbers: dict[str, int] = {}
    longest = frozenset(known), max(map(len, known), default=1)
    read: list[array[int]] = []
    for document in documents:
        read.append(array("q", (numbers.setdefault(word, len(numbers)) for word in _split(document, *longest))))
    counts = np.zeros(len(numbers), dtype=np.int64)
    for ids in read:
        np.add.at(counts, np.asarray(ids, dtype=np.int64), 1)
    order = np.argsort(-counts, kind="stable")
    kept = order[counts[order] >= at_least]
    if not kept.size:
        raise TextError(f"no word occurs {at_least} times in the text; give a longer one")
    place = np.full(len(numbers), -1, dtype=np.int64)
    place[kept] = np.arange(kept.size)
    names = list(numbers)
    found = [place[np.asarray(ids, dtype=np.int64)] for ids in read]
    return Counted(
        words=tuple(names[number] for number in kept),
        counts=tuple(counts[kept].tolist()),
        documents=tuple(ids[ids >= 0] for ids in found),
    )


def split_words(text: str, known: Collection[str] = ()) -> list[str]:
    """Runs of letters. Chinese, which has no spaces, is cut into the longest ``known`` words, else into characters."""
    return _split(text, frozenset(known), max(map(len, known), default=1))


def _split(text: str, known: frozenset[str], longest: int) -> list[str]:
    found: list[str] = []
    for run in _RUNS.findall(text):
        if HAN.match(run) is None:
            found.append(run)
            continue
        start = 0
        while start < len(run):
            end = min(len(run), start + longest)
            while end > start + 1 and run[start:end] not in known:
                end -= 1
            found.append(run[start:end])
            start = end
    return found
