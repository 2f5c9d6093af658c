"""Chinese things, with their measure words, and the casters beyond the tables."""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import among, by_first, listed, made_by_a, sum_of
from clearhead.corpora.grammar import Cast, Caster, Word
from clearhead.corpora.notation import Tables
from clearhead.corpora.story import mark


@cache
def thing(name: str, measure: str) -> Word:
    """A thing from its name and measure word, "钥匙" and "把".

    Forms: ``一`` ("一把钥匙"), ``这`` and ``那`` with the measure word, ``量`` (the measure word alone), ``它``.
    """
    named = mark("m", name, name)
    counted = {key: key + measure + named for key in ("一", "这", "那")}
    return Word(named, plain=name, 量=measure, 它=mark("p", name, "它"), **counted)


def casters(tables: Tables) -> dict[str, Caster]:
    """Casters of things for which a table is not enough, by the name used in a plot's first line."""
    food = tuple(_grocery(*row) for row in tables["food"].rows)
    wares = {maker: [thing(*row) for row in rows] for maker, rows in by_first(tables["ware"]).items()}
    boxes = [f"{colour}色{box}" for colour in tables["colour"].first for box in tables["container"].first]
    kinds, names, numbers = tables["pet_kind"].rows, tables["pet_name"].first, tables["number"].first

    def pet(cast: Cast) -> Word:
        return _pet(*cast.one(kinds), cast.one(names))

    def before_measure(number: int) -> str:
        return "两" if number == 2 else numbers[number]

    def spoken(a: int, b: int) -> Word:
        """``前`` and ``后`` before a measure word, ``甲`` and ``乙`` in arithmetic, ``和`` their sum, marked."""
        total = mark("a", f"{a}+{b}", numbers[a + b])
        return Word(str(a), 前=before_measure(a), 后=before_measure(b), 甲=numbers[a], 乙=numbers[b], 和=total)

    return {
        "box": among([thing(box, "个") for box in boxes]),
        "goods": among([thing(*row) for row in (*tables["fruit"].rows, *tables["crop"].rows)]),
        "food": among(food),
        "grocery": among((*food, *(_grocery(*row) for row in tables["grocery"].rows))),
        "ware": made_by_a(wares),
        "pet": pet,
        "sum": sum_of(spoken),
        "number": among(listed(tables["number"])[3:]),
    }


@cache
def _pet(kind: str, measure: str, name: str) -> Word:
    """A named animal; its kind is a second way to mention it."""
    kind_word = mark("m", name, kind)
    return Word(mark("m", name, name), plain=name, 种=kind_word, 一=f"一{measure}{kind_word}", 它=mark("p", name, "它"))


def _grocery(name: str, some: str) -> Word:
    """Something bought: ``some`` is how one asks for it, "一袋面粉"."""
    named = mark("m", name, name)
    return Word(named, plain=name, 买=some.replace(name, named), 它=mark("p", name, "它"))
