"""English things, with their plurals, articles and pronouns, and the casters beyond the tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from clearhead.corpora.casting import among, by_first, listed, made_by_a, sum_of
from clearhead.corpora.grammar import Cast, Caster, Word, capitalised
from clearhead.corpora.notation import Tables
from clearhead.corpora.story import mark

Thing = Callable[[str], Word]


def maker(tables: Tables) -> Thing:
    """Returns a function that makes a thing from its name: "goose".

    Forms: ``a`` ("a goose"), ``the``, ``s`` (plural, not a mention), ``it``, ``its``; each also with a capital.
    """
    irregular = dict(tables["plural"].pairs())

    @cache
    def thing(name: str) -> Word:
        named = mark("m", name, name)
        forms = {"a": _article(name).replace(name, named), "the": f"the {named}", "s": _plural(name, irregular)}
        forms |= {"it": mark("p", name, "it"), "its": mark("p", name, "its")}
        return Word(named, plain=name, **_with_capitals(forms))

    return thing


def casters(tables: Tables, thing: Thing) -> dict[str, Caster]:
    """Casters of things for which a table is not enough, by the name used in a plot's first line."""
    food = tuple(_grocery(*row) for row in tables["food"].rows)
    wares = {maker: [thing(*row) for row in rows] for maker, rows in by_first(tables["ware"]).items()}
    goods = dict.fromkeys((*tables["fruit"].first, *tables["crop"].first, *tables["goods"].first))
    boxes = [f"{colour} {box}" for colour in tables["colour"].first for box in tables["container"].first]
    kinds, names, numbers = tables["pet_kind"].first, tables["pet_name"].first, tables["number"].first

    def pet(cast: Cast) -> Word:
        return _pet(cast.one(kinds), cast.one(names))

    def spoken(a: int, b: int) -> Word:
        total = mark("a", f"{a}+{b}", numbers[a + b])
        return Word(str(a), first=numbers[a], second=numbers[b], total=total, Total=capitalised(total))

    return {
        "box": among([thing(box) for box in boxes]),
        "goods": among([thing(name) for name in goods]),
        "food": among(food),
        "grocery": among((*food, *(_grocery(*row) for row in tables["grocery"].rows))),
        "ware": made_by_a(wares),
        "pet": pet,
        "sum": sum_of(spoken),
        "number": among(listed(tables["number"])[3:]),  # three or more, so the noun is plural
    }


def plurals(tables: Tables) -> tuple[tuple[str, str], ...]:
    """Each noun that stories count, with its plural if that differs."""
    irregular = dict(tables["plural"].pairs())
    nouns = dict.fromkeys((*tables["animal"].first, *tables["fruit"].first))
    both = ((noun, _plural(noun, irregular)) for noun in nouns)
    return tuple((noun, plural) for noun, plural in both if noun != plural)


def _plural(name: str, irregular: dict[str, str]) -> str:
    return irregular.get(name) or name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def _article(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def _with_capitals(forms: dict[str, str]) -> dict[str, str]:
    return forms | {key.capitalize(): capitalised(form) for key, form in forms.items()}


@cache
def _pet(kind: str, name: str) -> Word:
    """A named animal, "Biscuit"; its kind is a second way to mention it."""
    named = mark("m", name, name)
    forms = {"kind": mark("m", name, kind), "a_kind": _article(kind).replace(kind, mark("m", name, kind))}
    forms |= {"it": mark("p", name, "it"), "its": mark("p", name, "its")}
    return Word(named, plain=name, **_with_capitals(forms))


def _grocery(name: str, some: str) -> Word:
    """Something bought by the bag or bottle: ``some`` is "a bag of flour", the name is "flour"."""
    named = mark("m", name, name)
    forms = {"cap": capitalised(named), "some": some.replace(name, named), "the": f"the {named}"}
    forms |= {"it": mark("p", name, "it")}
    return Word(named, plain=name, **_with_capitals(forms))
