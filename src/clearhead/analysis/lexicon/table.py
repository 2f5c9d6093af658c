"""A lexicon: words with vectors, and the questions it answers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from clearhead.analysis.lexicon.counting import HAN
from clearhead.analysis.lexicon.questions import AnalogyQuestions
from clearhead.analysis.lexicon.scoring import AnalogyScore, tally, three_cos_add
from clearhead.errors import OptionError, TextError

SPELLINGS = 5  # near spellings that an error names

# Shorter ones are mostly beginnings of words: th, con; a Chinese word has two characters or more.
LETTERS, CHARACTERS = 4, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Word:
    """A word found in a lexicon.

    row: its place in the lexicon; None if it is not listed there, and its vector was made from its pieces
    pieces: what its tokens stand for; its vector is the mean of theirs
    own: rows of the lexicon that are the word or one of its tokens, and so no answers
    """

    text: str
    row: int | None
    vector_E: Tensor
    pieces: tuple[str, ...]
    own: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A word, and the cosine of its vector with what was asked."""

    word: str
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Analogy:
    """a is to b as c is to the answers.

    answers: best first, the question's own words and their tokens barred
    free: the same with every word allowed
    neighbours: the nearest to c alone, own words barred: the answers without any analogy
    agreement: cosine between the differences b - a and answer - c, for the first of ``answers``
    """

    a: str
    b: str
    c: str
    answers: tuple[Neighbour, ...]
    free: tuple[Neighbour, ...]
    neighbours: tuple[Neighbour, ...]
    agreement: float


class Lexicon:
    """Words with vectors_WE, float32 on the CPU.

    name: where the vectors come from
    among: which words these are, for display
    vocabulary: if the words are tokens of a model, the number of its tokens
    look_up: finds a word that may not be listed; gives None if it cannot
    """

    def __init__(
        self,
        words: Sequence[str],
        vectors_WE: Tensor,
        *,
        name: str,
        among: str,
        vocabulary: int | None = None,
        look_up: Callable[[str], Word | None] | None = None,
    ) -> None:
        self.words = tuple(words)
        self.vectors_WE = vectors_WE
        self.name = name
        self.among = among
        self.vocabulary = vocabulary
        self._units_WE = F.normalize(vectors_WE, dim=1)
        self._rows = {word: row for row, word in enumerate(self.words)}
        self._look_up = look_up or self._listed

    def __repr__(self) -> str:
        return f"Lexicon({self.name!r}, {len(self):,} words)"

    def __len__(self) -> int:
        return len(self.words)

    @property
    def long_words(self) -> int:
        """Number of words with at least LETTERS letters or, in Chinese, CHARACTERS characters."""
        return sum(len(word) >= (CHARACTERS if HAN.match(word) else LETTERS) for word in self.words)

    def find(self, word: str) -> Word:
        """The word with its vector. Raises TextError, with near spellings, if there is no such word."""
        found = self._look_up(word)
        if found is None:
            near = difflib.get_close_matches(word, self.words, n=SPELLINGS, cutoff=0.5)
            way = f"; nearest spellings: {', '.join(near)}" if near else "; no word there is spelled like it"
            raise TextError(f"{word!r} is not among the words of {self.name} ({self.among}){way}")
        return found

    def nearest(self, word: str, top: int = 10) -> list[Neighbour]:
        """The ``top`` words with the largest cosines, without itself and its tokens.

        Raises TextError if there is no such word.
        """
        found = self.find(word)
        return self._ranked(F.normalize(found.vector_E, dim=0), [found], top)

    def analogy(self, a: str, b: str, c: str, top: int = 10) -> Analogy:
        """a is to b as c is to ...: man, woman, king. By ``three_cos_add``, as in ``score``.

        Raises TextError if there is no such word.
        """
        own = [self.find(word) for word in (a, b, c)]
        a_E, b_E, c_E = (F.normalize(word.vector_E, dim=0) for word in own)
        goal_E = three_cos_add(a_E, b_E, c_E)
        answers = self._ranked(goal_E, own, top)
        made_E = self.find(answers[0].word).vector_E - own[2].vector_E
        return Analogy(
            a=a,
            b=b,
            c=c,
            answers=tuple(answers),
            free=tuple(self._ranked(goal_E, [], top)),
            neighbours=tuple(self._ranked(c_E, own, top)),
            agreement=float(torch.cosine_similarity(own[1].vector_E - own[0].vector_E, made_E, dim=0)),
        )

    def listed(self, words: Iterable[str]) -> dict[str, Word]:
        """The words that the lexicon lists, each with its entry."""
        found = {word: self._look_up(word) for word in dict.fromkeys(words)}
        return {word: each for word, each in found.items() if each is not None and each.row is not None}

    def coverage(self, questions: AnalogyQuestions) -> float:
        """The share of the questions whose four words the lexicon lists."""
        every = [four for each in questions.values() for four in each]
        listed = self.listed(word for four in every for word in four)
        return sum(all(word in listed for word in four) for four in every) / len(every)

    def best_covered(self, sets: Mapping[str, AnalogyQuestions]) -> str:
        """The name of the set of questions whose words the lexicon covers best; the first of equals."""
        return max(sets, key=lambda name: self.coverage(sets[name]))

    def score(self, questions: AnalogyQuestions) -> AnalogyScore:
        """Asks all questions whose words the lexicon lists, by relation. Words made from pieces are not listed."""
        listed = self.listed(word for each in questions.values() for four in each for word in four)
        rows = {word: found.row for word, found in listed.items() if found.row is not None}
        tallies = [
            tally(
                relation,
                len(each),
                [
                    (rows[a], rows[b], rows[c], rows[d])
                    for a, b, c, d in each
                    if a in rows and b in rows and c in rows and d in rows
                ],
                self.vectors_WE,
            )
            for relation, each in questions.items()
        ]
        return AnalogyScore(
            lexicon=self.name,
            words=len(self),
            pieced=sum(len(found.pieces) > 1 for found in listed.values()),
            relations=tuple(tallies),
        )

    def _listed(self, word: str) -> Word | None:
        row = self._rows.get(word)
        if row is None:
            return None
        return Word(text=word, row=row, vector_E=self.vectors_WE[row], pieces=(word,), own=frozenset({row}))

    def _ranked(self, unit_E: Tensor, barred: Sequence[Word], top: int) -> list[Neighbour]:
        """The words by their cosine with a vector of length 1."""
        if top < 1:
            raise OptionError.of("top", top, "at least 1")
        cosines_W = self._units_WE @ unit_E
        rows = frozenset[int]().union(*(word.own for word in barred))
        cosines_W[list(rows)] = -torch.inf
        count = min(top, len(self) - len(rows))
        if count < 1:
            raise TextError(f"{self.name} has no other words ({self.among}); give a text with --text")
        values, order = torch.topk(cosines_W, count)
        return [
            Neighbour(word=self.words[row], cosine=cosine)
            for row, cosine in zip(order.tolist(), values.tolist(), strict=True)
        ]
