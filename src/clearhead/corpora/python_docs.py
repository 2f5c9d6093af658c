"""Python's language reference, which CPython includes as ``pydoc_data.topics``, a dict of plain text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from clearhead.corpora.corpus import Corpus
from clearhead.corpora.story import Story
from clearhead.errors import OptionError

_UNDERLINE = re.compile(r"([*=\-~^\"+#])\1{2,}")
_EMPHASIS = re.compile(r"(?<![\w*])(\*\*?)(\w[\w .\-]*)\1(?![\w*])")
_ITEM = re.compile(r"(\* |\d+\. )")
_LONG = 80  # characters; a shorter paragraph may occur in two topics by chance


@dataclass(frozen=True, kw_only=True)
class PythonDocs(Corpus):
    """The reference of the running Python; other versions have other texts and keys."""

    def source(self, seed: int = 0, megabytes: float | None = None) -> PythonDocsSource:
        """The whole reference. The text is fixed: the seed is ignored, and a size raises OptionError."""
        if megabytes is not None:
            raise OptionError(
                f"{self.name}: megabytes is {megabytes}; this is a fixed text of about {self.default_megabytes} MB, "
                "so leave the size out"
            )
        return PythonDocsSource(name=self.name)

    def stories(self, seed: int = 0) -> Iterator[Story]:
        """Raises OptionError: this text has no ground truth."""
        raise OptionError(f"{self.name} has no stories; world-en and world-zh have them")


@dataclass(frozen=True, kw_only=True)
class PythonDocsSource:
    """The cleaned topics, in the order of their names."""

    name: str

    def key(self) -> str:
        """The name and a hash of the text."""
        return f"{self.name}-{hashlib.sha256(chr(0).join(_documents()).encode()).hexdigest()[:12]}"

    def documents(self) -> Iterator[str]:
        """One topic after another."""
        return iter(_documents())


@cache
def _documents() -> tuple[str, ...]:
    from pydoc_data.topics import topics  # 0.5 MB, not needed to list the corpora

    return tuple(clean(topics[name]) for name in sorted(distinct(topics)))


def distinct(topics: dict[str, str]) -> set[str]:
    """The names of the topics, leaving out a topic if at least half of it is part of a longer one.

    A fifth of the text is duplicated: "for" is a section of "compound", "customization" one of "specialnames". Copies
    in both the training and the validation split would make the loss look too good.
    """
    kept: set[str] = set()
    seen: set[str] = set()
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        paragraphs = [part for part in topics[name].split("\n\n") if len(part) >= _LONG]
        if not paragraphs or 2 * sum(part in seen for part in paragraphs) < len(paragraphs):
            kept.add(name)
            seen.update(paragraphs)
    return kept


def clean(topic: str) -> str:
    """A topic without markup.

    Removes lines under headings and the stars of ``*emphasis*``, and joins each paragraph or list item into one line.
    Code, grammars and tables, which are indented or drawn with bars, keep their line breaks.
    """
    return "\n\n".join(filter(None, map(_block, topic.strip().split("\n\n")))) + "\n"


def _block(block: str) -> str:
    lines = [line.rstrip() for line in block.strip("\n").split("\n") if not _UNDERLINE.fullmatch(line.strip())]
    if not lines:
        return ""
    if lines[0].startswith("-[ "):
        lines[0] = lines[0].strip("-[] ")
    item = _ITEM.match(lines[0])
    indent = len(item[1]) if item else 0
    rest_is_prose = all(line[:indent].isspace() or not indent for line in lines[1:])
    prose = (
        lines[0][0] not in " +|" and rest_is_prose and not any(line[indent : indent + 1] in " +|" for line in lines[1:])
    )
    if not prose:
        return "\n".join(lines)
    text = re.sub(r"(?<=\w-) ", "", " ".join(line.strip() for line in lines))
    return _EMPHASIS.sub(r"\2", text)
