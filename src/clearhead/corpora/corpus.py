"""What every built-in corpus is: a name, a few words about it, text on demand, and stories where there is truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from clearhead.corpora.story import Story


class Source(Protocol):
    """Documents of a corpus, with a key that names their content; what ``clearhead.text`` reads."""

    @property
    def name(self) -> str: ...

    def key(self) -> str:
        """Equal keys, equal documents."""
        ...

    def documents(self) -> Iterator[str]:
        """Every document in order, from the beginning at each call."""
        ...


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true in a world, as tables.

    analogies   pairs of words by relation: any two pairs of a relation make an analogy
    senses      words with several senses: for each word its labels, each with a gloss
    capitals    the capital of every country
    """

    analogies: Mapping[str, tuple[tuple[str, str], ...]]
    senses: Mapping[str, Mapping[str, str]]
    capitals: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Corpus(ABC):
    """A built-in corpus: ``language`` is "en" or "zh", ``default_megabytes`` what ``source`` gives unless asked."""

    name: str
    language: str
    description: str
    default_megabytes: float

    @abstractmethod
    def source(self, seed: int = 0, megabytes: float | None = None) -> Source:
        """The corpus as text to train on; OptionError for a seed or size that it cannot give."""

    @abstractmethod
    def stories(self, seed: int = 0) -> Iterator[Story]:
        """The same documents as stories with their truth, without end; OptionError where there is none."""
