"""How a cast is drawn, in any language: one of a list, mostly the other gender, a name that nobody has yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearhead.corpora.grammar import Cast, Caster, Word
from clearhead.corpora.story import mark

OTHER_GENDER = 0.85  # how often a second person has the other gender, so that pronouns tell the two apart


def among(items: Sequence[Word]) -> Caster:
    """A caster that draws an item which stands in no other slot."""

    def draw(cast: Cast) -> str:
        return cast.other(items)

    return draw


def female(cast: Cast) -> bool:
    """A coin toss."""
    return cast.draw() < 0.5


def unlike_a(cast: Cast, chance: float = OTHER_GENDER) -> bool:
    """Whether someone is female who has, with this chance, the other gender than the person in slot A."""
    return (form(cast.slots["A"], "gender") == "female") != (cast.draw() < chance)


def form(word: str, name: str) -> str:
    """One of the forms of a word; "" where it has no such form."""
    return getattr(word, name, "")


def fresh_name(cast: Cast, names: Sequence[str]) -> str:
    """A name that is part of nobody's name so far."""
    taken = [form(word, "plain") for word in cast.slots.values()]
    first = int(cast.draw() * len(names))
    turned = (*names[first:], *names[:first])
    return next(name for name in turned if not any(name in other for other in taken))


def one_of_three(cast: Cast) -> str:
    """A, B, or D, whichever stands in no other slot of this kind yet."""
    placed = [cast.slots[slot] for slot in ("who", "whom") if slot in cast.slots]
    return cast.one([cast.slots[slot] for slot in "ABD" if cast.slots[slot] not in placed])


def pair(joined: str, forms: Callable[[bool], dict[str, str]]) -> Caster:
    """A caster of A and B together: ``joined`` is "{} and {}", ``forms`` the pronouns, told if both are female.

    The pair's pronouns refer to "Ada+Ben", the two plain names.
    """

    def draw(cast: Cast) -> Word:
        a, b = cast.slots["A"], cast.slots["B"]
        names = f"{form(a, 'plain')}+{form(b, 'plain')}"
        both_female = form(a, "gender") == form(b, "gender") == "female"
        marked = {key: mark("p", names, words) for key, words in forms(both_female).items()}
        return Word(mark("m", names, joined.format(a, b)), **marked)

    return draw
