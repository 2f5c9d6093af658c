"""Countries as they are: capital, language, river through the capital, continent; and places near home.

Only what is not disputed and will stay true; "" where there is no single answer or no well-known river.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import among
from clearhead.corpora.grammar import Caster, Word, capitalised, words
from clearhead.corpora.story import mark

# country, capital, language most people there speak, river through the capital, continent
COUNTRIES = (
    ("France", "Paris", "French", "Seine", "Europe"),
    ("Spain", "Madrid", "Spanish", "Manzanares", "Europe"),
    ("Portugal", "Lisbon", "Portuguese", "Tagus", "Europe"),
    ("Italy", "Rome", "Italian", "Tiber", "Europe"),
    ("Germany", "Berlin", "German", "Spree", "Europe"),
    ("Austria", "Vienna", "German", "Danube", "Europe"),
    ("Poland", "Warsaw", "Polish", "Vistula", "Europe"),
    ("Hungary", "Budapest", "Hungarian", "Danube", "Europe"),
    ("Greece", "Athens", "Greek", "", "Europe"),
    ("Ukraine", "Kyiv", "Ukrainian", "Dnieper", "Europe"),
    ("Russia", "Moscow", "Russian", "Moskva", "Europe"),
    ("Finland", "Helsinki", "Finnish", "", "Europe"),
    ("Sweden", "Stockholm", "Swedish", "", "Europe"),
    ("Norway", "Oslo", "Norwegian", "", "Europe"),
    ("Denmark", "Copenhagen", "Danish", "", "Europe"),
    ("Iceland", "Reykjavik", "Icelandic", "", "Europe"),
    ("Ireland", "Dublin", "English", "Liffey", "Europe"),
    ("England", "London", "English", "Thames", "Europe"),
    ("Turkey", "Ankara", "Turkish", "", "Asia"),
    ("Iran", "Tehran", "Persian", "", "Asia"),
    ("China", "Beijing", "Chinese", "", "Asia"),
    ("Japan", "Tokyo", "Japanese", "Sumida", "Asia"),
    ("Thailand", "Bangkok", "Thai", "Chao Phraya", "Asia"),
    ("Vietnam", "Hanoi", "Vietnamese", "Red River", "Asia"),
    ("Egypt", "Cairo", "Arabic", "Nile", "Africa"),
    ("Morocco", "Rabat", "Arabic", "", "Africa"),
    ("Kenya", "Nairobi", "Swahili", "", "Africa"),
    ("Mexico", "Mexico City", "Spanish", "", "North America"),
    ("Cuba", "Havana", "Spanish", "", "North America"),
    ("Canada", "Ottawa", "", "", "North America"),
    ("Peru", "Lima", "Spanish", "Rimac", "South America"),
    ("Chile", "Santiago", "Spanish", "Mapocho", "South America"),
    ("Argentina", "Buenos Aires", "Spanish", "", "South America"),
    ("Brazil", "Brasilia", "Portuguese", "", "South America"),
    ("Australia", "Canberra", "English", "", "Oceania"),
    ("New Zealand", "Wellington", "English", "", "Oceania"),
)


@cache
def country(name: str, capital: str, language: str, river: str, continent: str) -> Word:
    """A country; forms ``capital`` (marked as such), ``language``, ``river`` and ``continent``."""
    forms = {"capital": mark("c", name, capital), "language": language, "river": river, "continent": continent}
    return Word(mark("m", name, name), **forms)


# Where something can be put and found again.
SPOTS = (
    "under the bed", "under the stairs", "behind the door", "behind the stove", "on the top shelf",
    "under the old oak", "behind the barn", "in the attic", "in the cellar", "in the shed", "beside the well",
    "under the table",
    "behind the curtain", "on the window sill", "in the hollow tree", "under the bridge", "behind the mill",
    "under the big stone",
)  # fmt: skip
TOWNS = words(
    """
    Ashford Millbrook Riverton Greenhill Stonebridge Oakham Fairview Westport Eastwood Northbay Highfield
    Lakeside Meadowbank Whitecliff Redhill Foxhollow
    """
)


CASTERS: dict[str, Caster] = {
    "country": among([country(*row) for row in COUNTRIES]),
    "tongue": among([country(*row) for row in COUNTRIES if row[2]]),
    "river_country": among([country(*row) for row in COUNTRIES if row[2] and row[3]]),
    "spot": among([Word(spot, cap=capitalised(spot)) for spot in SPOTS]),
    "town": among([Word(town) for town in TOWNS]),
}
