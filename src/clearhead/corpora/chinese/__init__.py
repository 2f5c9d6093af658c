"""The Chinese world: rules, plots and tables from the .txt files here, and the forms of its people and things.

To write stories you need only those files; the top of common.txt explains the notation.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import countries, pair, simple
from clearhead.corpora.chinese import people, things
from clearhead.corpora.corpus import Facts
from clearhead.corpora.grammar import Grammar
from clearhead.corpora.notation import Data, read
from clearhead.corpora.scenes import glossed, pairs_of_scenes, scenes


@cache
def _data() -> Data:
    return read("clearhead.corpora.chinese", space="")


@cache
def grammar() -> Grammar:
    """The compiled grammar."""
    tables = _data().tables
    senses = glossed(tables["sense"])
    return Grammar(
        sections=_data().sections,
        made={"小景": scenes(senses), "成对小景": pairs_of_scenes(senses, "¶<另一件>")},
        casters=simple(tables, things.thing)
        | countries(tables["country"])
        | things.casters(tables)
        | people.casters(tables)
        | {"pair": pair("{}和{}", people.they)},
        lemmas={word: word for word in senses},
        senses=senses,
        space="",
    )


@cache
def facts() -> Facts:
    """The facts of this world."""
    tables = _data().tables
    country = tables["country"]
    return Facts(
        analogies={
            "gender": (*tables["pair"].pairs(), *tables["pronoun"].pairs()),
            "capital": country.pairs(),
            "language": country.pairs(0, 2),
            "continent": country.pairs(0, 4),
            "measure": tuple(pair for name in ("fruit", "crop", "animal") for pair in tables[name].pairs()),
        },
        senses=glossed(tables["sense"]),
        capitals=dict(country.pairs()),
    )
