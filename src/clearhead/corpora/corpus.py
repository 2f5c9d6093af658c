"""The interface of a built-in corpus: name, description, text, and stories with ground truth if it has any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from clearhead.corpora.story import Story


class CorpusSource(Protocol):
    """A corpus's documents, with a key for their content: what clearhead.text calls a TextSource."""

    @property
    def name(self) -> str: ...

    def key(self) -> str:
        """Equal keys mean equal documents."""
        ...

    def documents(self) -> Iterator[str]:
        """All documents in order; each call starts from the beginning."""
        ...


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a world, as tables.

    analogies   pairs of words by relation: any two pairs of a relation make an analogy
    senses      words with several senses: for each word its labels, each with a gloss
    capitals    the capital of each country
    """

    analogies: Mapping[str, tuple[tuple[str, str], ...]]
    senses: Mapping[str, Mapping[str, str]]
    capitals: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Corpus(ABC):
    """A built-in corpus: ``language`` is "en" or "zh"; ``default_megabytes`` is the size of ``source`` by default."""

    name: str
    language: str
    description: str
    default_megabytes: float

    @property
    def has_truth(self) -> bool:
        """Whether ``stories`` gives stories with ground truth."""
        return False

    @abstractmethod
    def source(self, seed: int = 0, megabytes: float | None = None) -> CorpusSource:
        """The corpus as text to train on. Raises OptionError for an unsupported seed or size."""

    @abstractmethod
    def stories(self, seed: int = 0) -> Iterator[Story]:
        """The same documents as stories with ground truth, endlessly. Raises OptionError if it has none."""
