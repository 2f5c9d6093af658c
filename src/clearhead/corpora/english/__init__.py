"""The English world: its people, places, things, rules and plots joined into one grammar."""

from __future__ import annotations

from functools import cache
from itertools import permutations

from clearhead.corpora.corpus import Facts
from clearhead.corpora.english import (
    common,
    lexicon,
    people,
    places,
    plots_court,
    plots_folk,
    plots_home,
    plots_memory,
    plots_more,
    plots_school,
    plots_town,
    plots_travel,
    senses,
    senses_town,
    things,
)
from clearhead.corpora.grammar import Grammar


@cache
def grammar() -> Grammar:
    """The compiled grammar; compiling takes a few hundredths of a second."""
    scenes = [f"<{word}_{sense}>" for word, (_, labels) in senses.SENSES.items() for sense in labels]
    pairs = [
        f"<{word}_{one}> ¶ <later> <{word}_{other}>"
        for word, (_, labels) in senses.SENSES.items()
        for one, other in permutations(labels, 2)
    ]
    return Grammar(
        texts=(
            common.RULES, senses.PEOPLE_AND_WORK, senses.NATURE, senses_town.RULES, plots_court.RULES, plots_folk.RULES,
            plots_home.RULES, plots_memory.RULES, plots_more.RULES, plots_school.RULES, plots_town.RULES,
            plots_travel.RULES,
        ),
        lexicon={**lexicon.WORDS, "scene": scenes, "pair_of_scenes": pairs},
        casters=people.CASTERS | places.CASTERS | things.CASTERS,
        lemmas=senses.LEMMAS,
        space=" ",
    )  # fmt: skip


FACTS = Facts(
    analogies={
        "gender": (*people.PAIRS, ("he", "she"), ("him", "her"), ("himself", "herself")),
        "capital": tuple((row[0], row[1]) for row in places.COUNTRIES),
        "language": tuple((row[0], row[2]) for row in places.COUNTRIES if row[2]),
        "plural": things.plurals(),
        "comparative": things.graded(1),
        "superlative": things.graded(2),
        "past": tuple((row[0], row[2]) for row in things.HABITS if row[0] != row[2]),
        "third person": tuple((row[0], row[1]) for row in things.HABITS),
        "progressive": tuple((row[0], row[3]) for row in things.HABITS),
    },
    senses={word: labels for word, (_, labels) in senses.SENSES.items()},
    capitals={row[0]: row[1] for row in places.COUNTRIES},
)
