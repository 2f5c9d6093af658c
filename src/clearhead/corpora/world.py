"""A generated world: stories drawn from a grammar, as many megabytes as asked for, the same on every machine.

Story i of a seed depends on the two numbers alone, so any story can be told again by itself. Only ``random()`` of
Python's Mersenne Twister is used, whose sequence Python promises to keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import count

from clearhead.corpora.corpus import Corpus
from clearhead.corpora.grammar import Grammar
from clearhead.corpora.story import Story
from clearhead.errors import OptionError

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class World(Corpus):
    """A corpus told by ``grammar``, whose rules stand in the package ``package``."""

    package: str
    grammar: Callable[[], Grammar]

    def source(self, seed: int = 0, megabytes: float | None = None) -> WorldSource:
        """Stories of ``seed`` until they hold ``megabytes`` (10**6 bytes of UTF-8; the last story is whole)."""
        megabytes = self.default_megabytes if megabytes is None else megabytes
        if not megabytes > 0:
            raise OptionError(f"{self.name}: megabytes is {megabytes}; it must be above 0")
        _check_seed(self.name, seed)
        return WorldSource(world=self, seed=seed, megabytes=megabytes)

    def stories(self, seed: int = 0) -> Iterator[Story]:
        """Story 0, 1, 2, ... of ``seed``, without end; their texts are the documents of ``source(seed)``."""
        _check_seed(self.name, seed)
        grammar = self.grammar()
        return (grammar.story(seed, index) for index in count())

    def story(self, index: int, seed: int = 0) -> Story:
        """Story ``index`` of ``seed`` alone."""
        _check_seed(self.name, seed)
        if index < 0:
            raise OptionError(f"{self.name}: story {index}; stories are numbered from 0")
        return self.grammar().story(seed, index)


@dataclass(frozen=True, kw_only=True)
class WorldSource:
    """The first megabytes of one seed."""

    world: World
    seed: int
    megabytes: float

    @property
    def name(self) -> str:
        """The corpus's name."""
        return self.world.name

    def key(self) -> str:
        """Name, version, seed, size, and a hash of the grammar's own source: a changed rule is another text."""
        digest = _digest(self.world.package)
        return f"{self.name}-v{_VERSION}-seed{self.seed}-{self.megabytes}mb-{digest}"

    def documents(self) -> Iterator[str]:
        """Stories until they hold the megabytes asked for."""
        left = self.megabytes * 1e6
        for story in self.world.stories(self.seed):
            text = story.text
            yield text
            left -= len(text.encode())
            if left <= 0:
                return


def _check_seed(name: str, seed: int) -> None:
    if seed < 0:
        raise OptionError(f"{name}: seed is {seed}; it must be 0 or above")


@cache
def _digest(package: str) -> str:
    """Twelve hex digits of SHA-256 over the grammar engine and every file of the language."""
    engine, language = resources.files("clearhead.corpora"), resources.files(package)
    files = [engine / name for name in ("casting.py", "grammar.py", "notation.py", "scenes.py", "story.py")]
    files += sorted(
        (file for file in language.iterdir() if file.name.endswith((".py", ".txt"))), key=lambda file: file.name
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
