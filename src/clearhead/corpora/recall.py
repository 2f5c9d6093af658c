"""Multi-query associative recall: rows of keys with values, then each key again, to answer with its value.

Arora et al. 2023, "Zoology: Measuring and Improving Recall in Efficient Language Models" (arXiv 2312.04927), section 4
and appendix: of a vocabulary of C, ids 1 to C/2 - 1 are keys, C/2 to C - 1 values, 0 fills. A row begins with its
pairs, key and value side by side, no key or value twice. Each key then comes once more, at an even distance behind the
pairs. Those places are drawn without replacement, the i-th with weight i^(a - 1) (a = 0.01), so most are early. Only
these places have a target: the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from clearhead.corpora.corpus import Corpus
from clearhead.corpora.story import Story
from clearhead.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]

VOCABULARY = 8192
POWER = 0.01
ROWS = {"train": 100_000, "valid": 3_000}
NO_ANSWER = -100  # the target where nothing is asked, which the loss does not count
_VERSION = 1
_NAME = re.compile(r"mqar-([0-9]{1,6})-([0-9]{1,6})")


@dataclass(frozen=True, kw_only=True)
class Recall(Corpus):
    """Rows of ``length`` tokens with ``pairs`` pairs of key and value."""

    length: int
    pairs: int

    def __post_init__(self) -> None:
        if self.length % 2 or not 1 <= self.pairs <= self.length // 4 or self.length >= VOCABULARY:
            raise OptionError(
                f"{self.name}: rows of {self.length} tokens with {self.pairs} pairs; the length must be even and below "
                f"{VOCABULARY:,}, and at least four times the pairs"
            )

    def key(self) -> str:
        """The name and a version: equal keys mean equal rows."""
        return f"{self.name}-v{_VERSION}"

    def words(self) -> list[str]:
        """How the ids are written: ``-``, ``k1``, ``k2``, ..., ``v4096``, ..."""
        return ["-", *(f"{'k' if n < VOCABULARY // 2 else 'v'}{n}" for n in range(1, VOCABULARY))]

    def rows(self, part: str) -> Rows:
        """ids_NT and targets_NT of "train" or "valid". A target is a value, or NO_ANSWER."""
        import numpy as np

        count, seed = ROWS[part], list(ROWS).index(part)
        return made(np.random.default_rng((seed, self.length, self.pairs)), count, self.length, self.pairs)

    def source(self, seed: int = 0, megabytes: float | None = None) -> RecallSource:
        """Training rows as text, to look at. Raises OptionError for another seed than 0."""
        if seed:
            raise OptionError(f"{self.name}: seed is {seed}; the rows have one order")
        return RecallSource(recall=self, megabytes=self.default_megabytes if megabytes is None else megabytes)

    def stories(self, seed: int = 0) -> Iterator[Story]:
        """Raises OptionError: rows tell nothing."""
        raise OptionError(f"{self.name} has no stories; world-en and world-zh have them")


@dataclass(frozen=True, kw_only=True)
class RecallSource:
    """Rows as words."""

    recall: Recall
    megabytes: float

    @property
    def name(self) -> str:
        """The corpus's name."""
        return self.recall.name

    def key(self) -> str:
        """Equal keys mean equal documents."""
        return f"{self.recall.key()}-{self.megabytes}mb"

    def documents(self) -> Iterator[str]:
        """Rows, up to the requested size."""
        words, (ids_NT, _) = self.recall.words(), self.recall.rows("train")
        texts = (" ".join(words[token] for token in row) for row in ids_NT)
        return islice(texts, max(1, int(self.megabytes * 1e6 / (6 * self.recall.length))))


def find(name: str) -> Recall | None:
    """The task called ``mqar-LENGTH-PAIRS``, or None for another name. Raises OptionError for impossible sizes."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    length, pairs = int(found[1]), int(found[2])
    return Recall(
        name=name,
        language="en",
        description="associative recall: keys with values, then the keys again",
        default_megabytes=0.1,
        length=length,
        pairs=pairs,
    )


def made(random: np.random.Generator, count: int, length: int, pairs: int, vocabulary: int = VOCABULARY) -> Rows:
    """``count`` rows: ids_NT and targets_NT, target NO_ANSWER where nothing is asked."""
    import numpy as np

    half = vocabulary // 2
    keys_NP = _distinct(random, count, pairs, 1, half)
    values_NP = _distinct(random, count, pairs, half, vocabulary)
    places = (length - 2 * pairs) // 2
    # The largest of log weight + Gumbel noise, in order, are a draw without replacement (Vieira 2014).
    log_weights = (POWER - 1) * np.log(np.arange(1, places + 1))
    noise_NS = log_weights + random.gumbel(size=(count, places))
    chosen_NP = np.argsort(-noise_NS, axis=1)[:, :pairs]
    asked_NP = 2 * pairs + 2 * chosen_NP
    ids_NT = np.zeros((count, length), dtype=np.uint16)
    ids_NT[:, : 2 * pairs : 2], ids_NT[:, 1 : 2 * pairs : 2] = keys_NP, values_NP
    np.put_along_axis(ids_NT, asked_NP, keys_NP.astype(np.uint16), axis=1)
    targets_NT = np.full((count, length), NO_ANSWER, dtype=np.int32)
    np.put_along_axis(targets_NT, asked_NP, values_NP.astype(np.int32), axis=1)
    return ids_NT, targets_NT


def _distinct(random: np.random.Generator, count: int, drawn: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """``count`` rows of ``drawn`` different numbers from [low, high): rows in which one comes twice are drawn again."""
    import numpy as np

    found_NP = random.integers(low, high, size=(count, drawn))
    while True:
        ordered_NP = np.sort(found_NP, axis=1)
        twice = np.flatnonzero((ordered_NP[:, 1:] == ordered_NP[:, :-1]).any(axis=1))
        if not len(twice):
            return found_NP
        found_NP[twice] = random.integers(low, high, size=(len(twice), drawn))
