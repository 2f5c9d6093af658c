"""The English world: rules, plots and tables from the .txt files here, and the forms of its people and things.

To write stories you need only those files; the top of common.txt explains the notation.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import countries, pair, simple
from clearhead.corpora.corpus import Facts
from clearhead.corpora.english import people, things
from clearhead.corpora.grammar import Grammar
from clearhead.corpora.notation import Data, Tables, read
from clearhead.corpora.scenes import glossed, pairs_of_scenes, scenes


@cache
def _data() -> Data:
    return read("clearhead.corpora.english", space=" ")


@cache
def grammar() -> Grammar:
    """The compiled grammar. Reading and compiling it takes a few hundredths of a second."""
    tables = _data().tables
    senses = glossed(tables["sense"])
    thing = things.maker(tables)
    forms = {word: word for word in senses} | {form: word for word, form in tables["form"].pairs()}
    return Grammar(
        sections=_data().sections,
        made={"scene": scenes(senses), "pair_of_scenes": pairs_of_scenes(senses, " ¶ <later> ")},
        casters=simple(tables, thing)
        | countries(tables["country"])
        | things.casters(tables, thing)
        | people.casters(tables)
        | {"pair": pair("{} and {}", people.they)},
        lemmas=forms | {form.capitalize(): word for form, word in forms.items()},
        senses=senses,
        space=" ",
    )


@cache
def facts() -> Facts:
    """The facts of this world."""
    tables = _data().tables
    country, habit = tables["country"], tables["habit"]
    gendered = (*tables["pair"].pairs(), *tables["pronoun"].pairs())
    return Facts(
        analogies={
            "gender": tuple(both for both in gendered if both[0] != "his"),  # "her" is already paired with "him"
            "capital": country.pairs(),
            "language": country.pairs(0, 2),
            "plural": things.plurals(tables),
            "comparative": _graded(tables, 1),
            "superlative": _graded(tables, 2),
            "past": tuple((base, past) for base, past in habit.pairs(0, 2) if base != past),
            "third person": habit.pairs(),
            "progressive": habit.pairs(0, 3),
        },
        senses=glossed(tables["sense"]),
        capitals=dict(country.pairs()),
    )


def _graded(tables: Tables, degree: int) -> tuple[tuple[str, str], ...]:
    """Each adjective with its comparative (degree 1) or superlative (degree 2)."""
    pairs = (pair for name in ("compared", "quality", "taste") for pair in tables[name].pairs(0, degree))
    return tuple(dict.fromkeys(pairs))
