"""Words with several senses, and the rules that tell a scene with any sense, or with two senses of a word.

Every sense has a rule ``word_sense`` whose scenes need only A, are self-contained, and mark every use of the
word: ``<bats^animal>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from clearhead.corpora.notation import Table

Senses = Mapping[str, Mapping[str, str]]


def glossed(table: Table) -> Senses:
    """Each word's senses with their glosses. Columns: word, sense, gloss."""
    senses: dict[str, dict[str, str]] = {}
    for word, sense, gloss in table.rows:
        senses.setdefault(word, {})[sense] = gloss
    return senses


def scenes(senses: Senses) -> list[str]:
    """One alternative per sense."""
    return [f"<{word}_{sense}>" for word, labels in senses.items() for sense in labels]


def pairs_of_scenes(senses: Senses, between: str) -> list[str]:
    """One alternative per ordered pair of senses of a word, joined by ``between``."""
    return [
        f"<{word}_{one}>{between}<{word}_{other}>"
        for word, labels in senses.items()
        for one, other in permutations(labels, 2)
    ]
