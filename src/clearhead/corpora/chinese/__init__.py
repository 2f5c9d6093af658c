"""The Chinese world: its people, places, things, rules and plots joined into one grammar."""

from __future__ import annotations

from functools import cache
from itertools import permutations

from clearhead.corpora.chinese import (
    common,
    lexicon,
    people,
    places,
    plots_court,
    plots_home,
    plots_memory,
    plots_school,
    plots_town,
    plots_travel,
    senses,
    senses_more,
    things,
)
from clearhead.corpora.corpus import Facts
from clearhead.corpora.grammar import Grammar


@cache
def grammar() -> Grammar:
    """The compiled grammar."""
    scenes = [f"<{word}_{sense}>" for word, labels in senses.SENSES.items() for sense in labels]
    pairs = [
        f"<{word}_{one}>¶<另一件><{word}_{other}>"
        for word, labels in senses.SENSES.items()
        for one, other in permutations(labels, 2)
    ]
    return Grammar(
        texts=(
            common.RULES, senses.RULES, senses_more.RULES, plots_court.RULES, plots_home.RULES, plots_memory.RULES,
            plots_school.RULES, plots_town.RULES, plots_travel.RULES,
        ),
        lexicon={**lexicon.WORDS, "小景": scenes, "成对小景": pairs},
        casters=people.CASTERS | places.CASTERS | things.CASTERS,
        lemmas=senses.LEMMAS,
        space="",
    )  # fmt: skip


FACTS = Facts(
    analogies={
        "gender": (*people.PAIRS, *people.PRONOUNS),
        "capital": tuple((row[0], row[1]) for row in places.COUNTRIES),
        "language": tuple((row[0], row[2]) for row in places.COUNTRIES if row[2]),
        "continent": tuple((row[0], row[4]) for row in places.COUNTRIES),
        "measure": tuple((entry[1:], entry[0]) for entry in (*things.FRUIT, *things.CROPS, *things.ANIMALS)),
    },
    senses=senses.SENSES,
    capitals={row[0]: row[1] for row in places.COUNTRIES},
)
