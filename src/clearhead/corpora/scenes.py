"""Words with several senses: what they are, and the rules that tell a scene of any sense, or of two senses of a word.

Every sense has a rule ``word_sense`` whose scenes need only A, are complete in themselves, and mark every use of the
word: ``<bats^animal>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from clearhead.corpora.notation import Table

Senses = Mapping[str, Mapping[str, str]]


def glossed(table: Table) -> Senses:
    """For each word its senses, each with a gloss: columns word, sense and gloss."""
    senses: dict[str, dict[str, str]] = {}
    for word, sense, gloss in table.rows:
        senses.setdefault(word, {})[sense] = gloss
    return senses


def scenes(senses: Senses) -> list[str]:
    """One alternative for every sense."""
    return [f"<{word}_{sense}>" for word, labels in senses.items() for sense in labels]


def pairs_of_scenes(senses: Senses, between: str) -> list[str]:
    """One alternative for every two senses of a word, in both orders, with ``between`` between them."""
    return [
        f"<{word}_{one}>{between}<{word}_{other}>"
        for word, labels in senses.items()
        for one, other in permutations(labels, 2)
    ]
