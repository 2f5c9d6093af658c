"""Drawing a cast, in any language: items of tables, people of (mostly) the other gender, unused names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from clearhead.corpora.grammar import Cast, Caster, Word, capitalised
from clearhead.corpora.notation import Table, Tables
from clearhead.corpora.story import mark

OTHER_GENDER = 0.85  # how often a second person has the other gender, so that pronouns tell the two apart

Person: TypeAlias = Callable[[str, bool, str], Word]  # (name, is female, job or "") -> person
GivenNames: TypeAlias = tuple[Sequence[str], Sequence[str]]  # men's and women's


def among(items: Sequence[Word]) -> Caster:
    """A caster that draws an item not used in any other slot."""

    def draw(cast: Cast) -> str:
        return cast.other(items)

    return draw


def listed(table: Table) -> tuple[Word, ...]:
    """The first column as words. Every column is a form; ``cap`` is the form at the start of a sentence."""
    return tuple(
        Word(row[0], cap=capitalised(row[0]), **dict(zip(table.columns, row, strict=True))) for row in table.rows
    )


def simple(tables: Tables, thing: Callable[..., Word]) -> dict[str, Caster]:
    """A caster for each table, by name. If the first column is ``thing``, rows become things."""
    return {
        name: among(tuple(thing(*row) for row in table.rows) if table.columns[0] == "thing" else listed(table))
        for name, table in tables.items()
    }


def countries(table: Table) -> dict[str, Caster]:
    """Casters of any country, of one with a language, and of one with a language and a river.

    The columns are name, capital, language, river and continent, under any headings; all but the name become forms.
    """
    known = [(_country(table.columns, row), row) for row in table.rows]
    return {
        "country": among([country for country, _ in known]),
        "tongue": among([country for country, row in known if row[2]]),
        "river_country": among([country for country, row in known if row[2] and row[3]]),
    }


def _country(columns: Sequence[str], row: Sequence[str]) -> Word:
    forms = dict(zip(columns[1:], (mark("c", row[0], row[1]), *row[2:]), strict=True))
    return Word(mark("m", row[0], row[0]), plain=row[0], **forms)


def female(cast: Cast) -> bool:
    """A coin toss."""
    return cast.draw() < 0.5


def unlike_a(cast: Cast) -> bool:
    """Draws whether someone is female: mostly the other gender than the person in slot A."""
    return _unlike_a(cast, OTHER_GENDER)


def opposite_of_a(cast: Cast) -> bool:
    """Whether someone is female, always of the other gender than the person in slot A."""
    return _unlike_a(cast, 1.0)


def _unlike_a(cast: Cast, chance: float) -> bool:
    return (form(cast.slots["A"], "gender") == "female") != (cast.draw() < chance)


def form(word: str, name: str) -> str:
    """A form of a word; "" if it has no such form."""
    return getattr(word, name, "")


def someone(
    person: Person,
    names: GivenNames,
    is_female: Callable[[Cast], bool] = female,
    *,
    jobs: Sequence[str] = (),
    titles: tuple[str, str] = ("{}", "{}"),
) -> Caster:
    """A caster of people, with an unused name if the title has "{}", and one of ``jobs`` if there are any."""

    def draw(cast: Cast) -> Word:
        other = is_female(cast)
        title = titles[other]
        name = title.format(fresh_name(cast, names[other])) if "{}" in title else title
        return person(name, other, cast.one(jobs) if jobs else "")

    return draw


def roles(table: Table, person: Person, names: GivenNames) -> dict[str, Caster]:
    """Casters of people named by a noun, "the king" or "Aunt {}". Columns: role, male, female."""
    return {role: someone(person, names, titles=(male, other)) for role, male, other in table.rows}


def fresh_name(cast: Cast, names: Sequence[str]) -> str:
    """A name that is not yet part of anybody's name."""
    taken = [form(word, "plain") for word in cast.slots.values()]
    first = int(cast.draw() * len(names))
    turned = (*names[first:], *names[:first])
    return next(name for name in turned if not any(name in other for other in taken))


def one_of_three(cast: Cast) -> str:
    """A, B, or D, whichever is not yet in another slot of this kind."""
    placed = [cast.slots[slot] for slot in ("who", "whom") if slot in cast.slots]
    return cast.one([cast.slots[slot] for slot in "ABD" if cast.slots[slot] not in placed])


def made_by_a(wares: Mapping[str, Sequence[Word]]) -> Caster:
    """A caster of something that A makes."""

    def draw(cast: Cast) -> Word:
        return cast.one(wares[form(cast.slots["A"], "trade")])

    return draw


def by_first(table: Table) -> dict[str, list[tuple[str, ...]]]:
    """Rows grouped by their first cell: what each maker makes."""
    grouped: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in table.rows:
        grouped.setdefault(first, []).append(tuple(rest))
    return grouped


def pair(joined: str, forms: Callable[[bool], dict[str, str]]) -> Caster:
    """A caster of A and B together: ``joined`` is "{} and {}", ``forms`` the pronouns, given if both are female.

    The pair's pronouns refer to "Ada+Ben", the two plain names.
    """

    def draw(cast: Cast) -> Word:
        a, b = cast.slots["A"], cast.slots["B"]
        names = f"{form(a, 'plain')}+{form(b, 'plain')}"
        both_female = form(a, "gender") == form(b, "gender") == "female"
        marked = {key: mark("p", names, words) for key, words in forms(both_female).items()}
        return Word(mark("m", names, joined.format(a, b)), **marked)

    return draw


def sum_of(spoken: Callable[[int, int], Word]) -> Caster:
    """A caster of a sum of 2 to 9 and 1 to 9, which ``spoken`` turns into a word."""

    def draw(cast: Cast) -> Word:
        return spoken(2 + int(cast.draw() * 8), 1 + int(cast.draw() * 9))

    return draw
