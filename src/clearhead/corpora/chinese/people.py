"""Chinese people: their forms by gender, and the casters.

Each person has the form of every pair that fits their gender, so a rule says ``{A.伯伯}`` and never "伯伯" itself. The
two words of a pair therefore have the same distribution of contexts, except for names and pronouns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from clearhead.corpora.casting import (
    GivenNames,
    Person,
    female,
    fresh_name,
    one_of_three,
    opposite_of_a,
    roles,
    someone,
    unlike_a,
)
from clearhead.corpora.grammar import Cast, Caster, Word
from clearhead.corpora.notation import Tables
from clearhead.corpora.story import mark


def maker(tables: Tables) -> Person:
    """Returns a function that makes a person with all forms of the name: "小明", "国王", "王叔叔".

    Forms: one per pair and pronoun under the male word, ``职`` (the trade). ``plain``, ``gender`` and ``trade`` are
    unmarked, for casting.
    """
    pairs, pronouns = tables["pair"].rows, tables["pronoun"].rows

    @cache
    def person(name: str, is_female: bool, job: str) -> Word:
        gender = "female" if is_female else "male"
        forms = {both[0]: mark("p", name, both[is_female]) for both in pronouns}
        for both in pairs:
            forms[both[0]] = mark("m", name, mark("g", gender, both[is_female]))
        if job:
            forms["职"] = mark("m", name, job)
        noun = max((both[is_female] for both in pairs if both[is_female] in name), key=len, default="")
        title = name.replace(noun, mark("g", gender, noun)) if noun else name
        return Word(mark("m", name, title), plain=name, gender=gender, trade=job, **forms)

    return person


def they(both_female: bool) -> dict[str, str]:
    """The pronoun of two people."""
    return {"他们": "她们" if both_female else "他们"}


def casters(tables: Tables) -> dict[str, Caster]:
    """Casters of people, by the name used in a plot's first line."""
    person = maker(tables)
    young = (tables["boy_name"].first, tables["girl_name"].first)
    grown = (tables["man_name"].first, tables["woman_name"].first)
    surnames = tables["surname"].first
    child = someone(person, young)
    jobs, makers = tables["job"].first, tuple(dict.fromkeys(tables["ware"].first))
    return roles(tables["role"], person, (surnames, surnames)) | {
        "child": child,
        "friend": someone(person, young, unlike_a),
        "friend2": child,
        "sibling": child,
        "one_of_three": one_of_three,
        "adult": someone(person, grown),
        "adult2": someone(person, grown, unlike_a),
        "spouse": someone(person, grown, opposite_of_a),
        "worker": _working(person, grown, jobs),
        "maker": _working(person, grown, makers),
        "colleague": _working(person, grown, jobs, unlike_a),
    }


def _working(
    person: Person, names: GivenNames, jobs: Sequence[str], is_female: Callable[[Cast], bool] = female
) -> Caster:
    """A caster of people with a job, drawn before the name."""

    def draw(cast: Cast) -> Word:
        other, job = is_female(cast), cast.one(jobs)
        return person(fresh_name(cast, names[other]), other, job)

    return draw
