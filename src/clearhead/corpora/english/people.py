"""English people: names, gendered pairs of nouns, and everyone's forms.

Every person has every form of every pair, chosen by gender,
so a rule says ``{A.uncle}`` and never "uncle" itself. The
contexts of the two words of a pair are therefore the same in distribution, but for names and pronouns.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import female, form, fresh_name, one_of_three, pair, unlike_a
from clearhead.corpora.english.things import WARES, thing
from clearhead.corpora.grammar import Cast, Caster, Word, capitalised, words
from clearhead.corpora.story import mark

PAIRS = (
    ("man", "woman"), ("boy", "girl"), ("son", "daughter"), ("brother", "sister"), ("father", "mother"),
    ("uncle", "aunt"), ("husband", "wife"), ("king", "queen"), ("prince", "princess"), ("actor", "actress"),
    ("grandfather", "grandmother"), ("grandson", "granddaughter"), ("nephew", "niece"), ("duke", "duchess"),
    ("hero", "heroine"), ("wizard", "witch"),
)  # fmt: skip
PRONOUNS = (("he", "she"), ("him", "her"), ("his", "her"), ("himself", "herself"))
_NOUNS = frozenset(word for both in PAIRS for word in both)

MALE = words(
    """
    Adam Amir Ben Boris Carl Colin Daniel David Emil Felix Frank George Hugo Ivan Jack Jonas Karim Kenji Leo
    Louis Martin Max Milo Nico Noah Oscar Otto Paul Peter Rafael Sam Simon Theo Thomas Victor Walter Wei
    Yusuf
    """
)
FEMALE = words(
    """
    Ada Alice Amina Bella Clara Cora Dora Ella Emma Eva Fiona Greta Hanna Ida Ines Julia Kate Leila Lena Lily
    Lucy Maria Mei Mina Molly Nora Olga Paula Rita Rosa Ruth Sara Sonia Tina Vera Wanda Yuki Zoe
    """
)
JOBS = (
    "baker", "farmer", "teacher", "doctor", "nurse", "carpenter", "painter", "tailor", "gardener", "shepherd",
    "miller",
    "cook", "singer", "engineer", "writer", "potter", "librarian", "shopkeeper", "builder", "postal clerk",
    "blacksmith", "bus driver", "mechanic", "dentist", "journalist", "beekeeper",
)  # fmt: skip
MAKERS = tuple(WARES)


@cache
def person(name: str, is_female: bool, job: str = "") -> Word:
    """A person and all forms of ``name``, which may be a name or hold a noun of a pair: "the king", "Aunt Rosa".

    Forms: one per pair under the male noun (``king``: king or queen), one per pronoun under the male one (``his``),
    ``job`` and ``a_job``, ``first`` (the name without a title); each also with a capital (``King``, ``His``), and
    ``Name`` for the start of a sentence. ``plain``, ``gender`` and ``trade`` are unmarked, for casting.
    """
    gender = "female" if is_female else "male"
    forms = {"first": mark("m", name, name.rpartition(" ")[2])}
    for both in PRONOUNS:
        forms[both[0]] = mark("p", name, both[is_female])
    for both in PAIRS:
        forms[both[0]] = mark("m", name, mark("g", gender, both[is_female]))
    if job:
        forms["job"] = mark("m", name, job)
        forms["a_job"] = ("an " if job[0] in "aeiou" else "a ") + forms["job"]
    forms |= {key.capitalize(): capitalised(words) for key, words in forms.items()}
    title = [mark("g", gender, word) if word.lower() in _NOUNS else word for word in name.split()]
    named = mark("m", name, " ".join(title))
    return Word(named, Name=capitalised(named), plain=name, gender=gender, trade=job, **forms)


def _named(cast: Cast, is_female: bool) -> str:
    return fresh_name(cast, FEMALE if is_female else MALE)


def _anyone(cast: Cast) -> Word:
    is_female = female(cast)
    return person(_named(cast, is_female), is_female)


def _friend(cast: Cast) -> Word:
    is_female = unlike_a(cast)
    return person(_named(cast, is_female), is_female)


def _spouse(cast: Cast) -> Word:
    is_female = unlike_a(cast, 1.0)
    return person(_named(cast, is_female), is_female)


def _worker(cast: Cast) -> Word:
    is_female = female(cast)
    return person(_named(cast, is_female), is_female, cast.one(JOBS))


def _maker(cast: Cast) -> Word:
    is_female = female(cast)
    return person(_named(cast, is_female), is_female, cast.one(MAKERS))


def _colleague(cast: Cast) -> Word:
    is_female = unlike_a(cast)
    return person(_named(cast, is_female), is_female, cast.one(JOBS))


def _ware(cast: Cast) -> Word:
    """Something that A, a maker, makes."""
    return thing(cast.one(WARES[form(cast.slots["A"], "trade")]))


def _called(male: str, other: str) -> Caster:
    """A caster of people known by a noun alone: "the king" or "the queen"."""

    def draw(cast: Cast) -> Word:
        is_female = female(cast)
        return person(other if is_female else male, is_female)

    return draw


def _titled(male: str, other: str) -> Caster:
    """A caster of people with a title before their name: "Uncle Otto", "Aunt Rosa"."""

    def draw(cast: Cast) -> Word:
        is_female = female(cast)
        return person(f"{other if is_female else male} {_named(cast, is_female)}", is_female)

    return draw


def _they(_: bool) -> dict[str, str]:
    words = ("they", "them", "their")
    return {word: word for word in words} | {word.capitalize(): word.capitalize() for word in words}


CASTERS: dict[str, Caster] = {
    "child": _anyone, "friend": _friend, "friend2": _anyone, "one_of_three": one_of_three, "adult": _anyone,
    "adult2": _friend, "worker": _worker, "maker": _maker, "colleague": _colleague, "spouse": _spouse,
    "sibling": _anyone, "ware": _ware, "pair": pair("{} and {}", _they),
    "parent": _called("Father", "Mother"), "grandparent": _called("Grandfather", "Grandmother"),
    "ruler": _called("the king", "the queen"), "heir": _called("the prince", "the princess"),
    "duke": _called("the duke", "the duchess"), "wizard": _called("the old wizard", "the old witch"),
    "named_ruler": _titled("King", "Queen"), "named_heir": _titled("Prince", "Princess"),
    "uncle": _titled("Uncle", "Aunt"),
}  # fmt: skip
