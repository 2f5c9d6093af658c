"""Analogy questions: a is to b as c is to d."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from clearhead import corpora
from clearhead.errors import TextError, shown
from clearhead.text import FileSource

AnalogyQuestion: TypeAlias = tuple[str, str, str, str]  # a, b, c, and the answer d
AnalogyQuestions: TypeAlias = Mapping[str, Sequence[AnalogyQuestion]]  # by relation


def of_pairs(pairs: Mapping[str, Iterable[tuple[str, str]]]) -> dict[str, list[AnalogyQuestion]]:
    """The questions of each relation: every pair of words with every other pair."""
    return {
        relation: [(*first, *second) for first in each for second in each if first != second]
        for relation, each in ((relation, list(each)) for relation, each in pairs.items())
    }


def question_sets(name: str | None = None) -> dict[str, AnalogyQuestions]:
    """Questions by name: those of ``world-en`` and ``world-zh``, of one of these, or of a file (``read_questions``)."""
    worlds = {f"world-{language}": language for language in ("en", "zh")}
    if name is not None and name not in worlds:
        return {name: read_questions(name)}
    return {each: of_pairs(corpora.analogies(worlds[each])) for each in (worlds if name is None else [name])}


def read_questions(path: str | Path) -> dict[str, list[AnalogyQuestion]]:
    """Reads questions in Google's format: four words per line, after a line ``: relation`` that names their relation.

    Mikolov et al. 2013, arXiv 1301.3781. Raises TextError, with the line number, for any other line.
    """
    found: dict[str, list[AnalogyQuestion]] = {}
    relation = "questions"
    for number, line in enumerate("".join(FileSource(path).documents()).splitlines(), start=1):
        words = line.split()
        if words[:1] == [":"] and len(words) > 1:
            relation = " ".join(words[1:])
        elif len(words) == 4:
            a, b, c, d = words
            found.setdefault(relation, []).append((a, b, c, d))
        elif words:
            raise TextError(
                f"{path}: line {number}: {shown(line)} is not a question; a line has four words (man woman king "
                "queen), or a colon and the name of a relation (: family)"
            )
    if not found:
        raise TextError(f"{path}: it has no questions; a question is a line of four words: man woman king queen")
    return found
