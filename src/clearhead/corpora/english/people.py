"""English people: their forms by gender, and the casters.

Each person has the form of every pair that fits their gender, so a rule says ``{A.uncle}``, never "uncle" itself. The
two words of a pair therefore have the same distribution of contexts, except for names and pronouns.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import Person, one_of_three, opposite_of_a, roles, someone, unlike_a
from clearhead.corpora.grammar import Caster, Word, capitalised
from clearhead.corpora.notation import Tables
from clearhead.corpora.story import mark


def maker(tables: Tables) -> Person:
    """Returns a function that makes a person with all forms of the name: "Ada", "the king", "Aunt Rosa".

    Forms: one per pair under the male noun (``king``: king or queen), one per pronoun under the male one (``his``),
    ``job`` and ``a_job``, ``first`` (the name without a title); each also with a capital (``King``, ``His``), and
    ``Name`` for the start of a sentence. ``plain``, ``gender`` and ``trade`` are unmarked, for casting.
    """
    pairs, pronouns = tables["pair"].rows, tables["pronoun"].rows
    nouns = frozenset(word for both in pairs for word in both)

    @cache
    def person(name: str, is_female: bool, job: str) -> Word:
        gender = "female" if is_female else "male"
        forms = {"first": mark("m", name, name.rpartition(" ")[2])}
        for both in pronouns:
            forms[both[0]] = mark("p", name, both[is_female])
        for both in pairs:
            forms[both[0]] = mark("m", name, mark("g", gender, both[is_female]))
        if job:
            forms["job"] = mark("m", name, job)
            forms["a_job"] = ("an " if job[0] in "aeiou" else "a ") + forms["job"]
        forms |= {key.capitalize(): capitalised(words) for key, words in forms.items()}
        title = [mark("g", gender, word) if word.lower() in nouns else word for word in name.split()]
        named = mark("m", name, " ".join(title))
        return Word(named, Name=capitalised(named), plain=name, gender=gender, trade=job, **forms)

    return person


def they(_: bool) -> dict[str, str]:
    """The pronouns of two people."""
    words = ("they", "them", "their")
    return {word: word for word in words} | {word.capitalize(): word.capitalize() for word in words}


def casters(tables: Tables) -> dict[str, Caster]:
    """Casters of people, by the name used in a plot's first line."""
    person = maker(tables)
    names = (tables["male_name"].first, tables["female_name"].first)
    anyone, friend = someone(person, names), someone(person, names, unlike_a)
    jobs, makers = tables["job"].first, tuple(dict.fromkeys(tables["ware"].first))
    return roles(tables["role"], person, names) | {
        "child": anyone,
        "friend": friend,
        "friend2": anyone,
        "sibling": anyone,
        "one_of_three": one_of_three,
        "adult": anyone,
        "adult2": friend,
        "spouse": someone(person, names, opposite_of_a),
        "worker": someone(person, names, jobs=jobs),
        "maker": someone(person, names, jobs=makers),
        "colleague": someone(person, names, unlike_a, jobs=jobs),
    }
