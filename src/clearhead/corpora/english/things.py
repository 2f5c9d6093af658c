"""Things, animals, food, numbers, qualities and habits, with their plurals, articles and other forms."""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import among
from clearhead.corpora.grammar import Cast, Caster, Word, capitalised, words
from clearhead.corpora.story import mark

# Words with two senses (see senses.py) are left out on purpose: here nothing would say which sense is meant.
KEEPSAKES = words(
    """
    key coin button shell stone medal whistle pencil map photo ticket bell spoon marble feather pearl necklace
    compass candle thimble doll flute diary brooch magnet ribbon notebook torch purse postcard
    """
)
TOYS = (
    "kite", "ball", "doll", "drum", "toy boat", "puzzle", "sled", "teddy bear", "toy train", "yo-yo",
    "skipping rope", "scooter",
)  # fmt: skip
COLOURS = words("red blue green yellow black white brown grey purple golden")
CONTAINERS = words("box basket drawer bag jar chest cupboard pot bucket tin vase hat boot sack suitcase bowl")
FRUIT = words("apple pear plum orange lemon peach banana cherry:cherries carrot walnut")
CROPS = words("carrot onion potato:potatoes tomato:tomatoes cabbage pumpkin melon bean cucumber radish")
GOODS = (*FRUIT, *CROPS[1:], "egg", "bun", "pie", "fig")
ANIMALS = words(
    """
    dog cat hen goat cow horse rabbit pony:ponies lamb donkey parrot kitten puppy:puppies turtle goose:geese
    pig fox:foxes deer:deer hedgehog squirrel frog owl sheep:sheep crow otter hare swan turkey
    """
)
PET_KINDS = words("dog cat rabbit pony:ponies donkey parrot kitten puppy:puppies turtle goat lamb goose:geese")
CIRCUS = words("elephant bear pony:ponies lion tiger camel goat wolf:wolves")
FABLE = words("fox:foxes hare crow bear goat frog owl hedgehog squirrel otter donkey goose:geese")

# what is bought by the bag or bottle: "a loaf of bread", then "the bread"
FOOD = (
    ("bread", "a loaf of bread"), ("milk", "a bottle of milk"), ("flour", "a bag of flour"),
    ("honey", "a jar of honey"), ("butter", "some butter"), ("cheese", "a piece of cheese"),
    ("rice", "a bag of rice"), ("salt", "a packet of salt"), ("sugar", "a bag of sugar"),
    ("oil", "a bottle of oil"),
)  # fmt: skip
GROCERIES = (
    *FOOD, ("tea", "a tin of tea"), ("soap", "a bar of soap"), ("medicine", "a bottle of medicine"),
    ("paint", "a pot of paint"), ("wool", "a ball of wool"),
)  # fmt: skip
NUMBERS = words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
    """
)
SECRETS = words(
    """
    moonshine pancake thunder butterfly cinnamon snowflake turnip lantern waterfall pumpkin nightingale
    marmalade
    """
)
# adjective, comparative, superlative
COMPARED = (
    ("tall", "taller", "tallest"), ("fast", "faster", "fastest"), ("strong", "stronger", "strongest"),
    ("old", "older", "oldest"), ("young", "younger", "youngest"), ("quick", "quicker", "quickest"),
    ("brave", "braver", "bravest"), ("small", "smaller", "smallest"),
)  # fmt: skip
# for what is made: adjective, comparative, superlative
QUALITIES = (
    ("big", "bigger", "biggest"), ("strong", "stronger", "strongest"), ("fine", "finer", "finest"),
    ("nice", "nicer", "nicest"), ("small", "smaller", "smallest"), ("smooth", "smoother", "smoothest"),
)  # fmt: skip
# for what is eaten
TASTES = (
    ("big", "bigger", "biggest"), ("cheap", "cheaper", "cheapest"), ("fresh", "fresher", "freshest"),
    ("sweet", "sweeter", "sweetest"), ("heavy", "heavier", "heaviest"), ("long", "longer", "longest"),
)  # fmt: skip
# what a maker makes
WARES = {
    "carpenter": ("chair", "table", "ladder", "cradle", "bench", "toy boat"),
    "potter": ("bowl", "jug", "vase", "teapot"),
    "tailor": ("coat", "shirt", "dress", "jacket"),
    "blacksmith": ("gate", "knife:knives", "horseshoe", "lantern"),
    "shoemaker": ("boot", "sandal"),
    "toymaker": ("doll", "drum", "puzzle", "toy train", "kite"),
    "glassblower": ("bottle", "vase", "lamp"),
}
# base, third person, past, -ing form, the rest of the phrase
HABITS = (
    ("walk", "walks", "walked", "walking", "to the lake"),
    ("run", "runs", "ran", "running", "around the field"),
    ("swim", "swims", "swam", "swimming", "in the lake"),
    ("sing", "sings", "sang", "singing", "in the garden"),
    ("cook", "cooks", "cooked", "cooking", "soup for the family"),
    ("bake", "bakes", "baked", "baking", "bread"), ("write", "writes", "wrote", "writing", "in a diary"),
    ("read", "reads", "read", "reading", "by the window"), ("play", "plays", "played", "playing", "the flute"),
    ("paint", "paints", "painted", "painting", "small pictures"),
    ("feed", "feeds", "fed", "feeding", "the hens"),
    ("ride", "rides", "rode", "riding", "a bicycle to school"),
    ("drink", "drinks", "drank", "drinking", "a cup of warm milk"),
    ("eat", "eats", "ate", "eating", "an apple after lunch"),
    ("climb", "climbs", "climbed", "climbing", "the hill behind the house"),
    ("help", "helps", "helped", "helping", "in the shop"),
    ("visit", "visits", "visited", "visiting", "the library"),
    ("sleep", "sleeps", "slept", "sleeping", "until seven"),
)  # fmt: skip

PETS = words(
    """
    Biscuit Pepper Shadow Ginger Patch Snowy Clover Pickle Mango Rusty Domino Bramble Toffee Pebble Cocoa
    Whisker
    """
)


def graded(degree: int) -> tuple[tuple[str, str], ...]:
    """Every adjective with its comparative (degree 1) or superlative (degree 2)."""
    return tuple(dict.fromkeys((row[0], row[degree]) for row in (*COMPARED, *QUALITIES, *TASTES)))


def _article(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def singular_and_plural(entry: str) -> tuple[str, str]:
    """("goose", "geese") from "goose:geese", ("apple", "apples") from "apple"."""
    name, _, plural = entry.partition(":")
    return name, plural or name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def plurals() -> tuple[tuple[str, str], ...]:
    """Every noun that is counted in the stories, with its plural where that is another word."""
    nouns = map(singular_and_plural, dict.fromkeys((*ANIMALS, *FRUIT)))
    return tuple(dict.fromkeys(pair for pair in nouns if pair[0] != pair[1]))


@cache
def thing(entry: str) -> Word:
    """A thing from "goose:geese" or "apple" (plural in -s or -es).

    Forms: ``a`` ("an apple"), ``the``, ``s`` (plural, not a mention), ``it``, ``its``; each also with a capital.
    """
    name, plural = singular_and_plural(entry)
    named = mark("m", name, name)
    forms = {"a": _article(name).replace(name, named), "the": f"the {named}", "s": plural}
    forms |= {"it": mark("p", name, "it"), "its": mark("p", name, "its")}
    forms |= {key.capitalize(): capitalised(form) for key, form in forms.items()}
    return Word(named, plain=name, **forms)


@cache
def _pet(kind: str, name: str) -> Word:
    """A named animal: "Biscuit", its kind as another mention."""
    kind = kind.partition(":")[0]
    named = mark("m", name, name)
    forms = {"kind": mark("m", name, kind), "a_kind": _article(kind).replace(kind, mark("m", name, kind))}
    forms |= {"it": mark("p", name, "it"), "its": mark("p", name, "its")}
    forms |= {key.capitalize(): capitalised(form) for key, form in forms.items()}
    return Word(named, plain=name, **forms)


@cache
def _grocery(name: str, some: str) -> Word:
    named = mark("m", name, name)
    forms = {
        "cap": capitalised(named),
        "some": some.replace(name, named),
        "the": f"the {named}",
        "it": mark("p", name, "it"),
    }
    forms |= {key.capitalize(): capitalised(form) for key, form in forms.items()}
    return Word(named, plain=name, **forms)


def _table(rows: tuple[tuple[str, ...], ...], keys: str) -> tuple[Word, ...]:
    """Rows as words with one form per key; the first column is the word itself."""
    return tuple(Word(row[0], **dict(zip(keys.split(), row, strict=True))) for row in rows)


def _spoken(texts: tuple[str, ...]) -> tuple[Word, ...]:
    """Words with a form ``cap`` for the start of a sentence."""
    return tuple(Word(text, cap=text.capitalize()) for text in texts)


_BOXES = tuple(thing(f"{colour} {container}") for colour in COLOURS for container in CONTAINERS)


def _pet_drawn(cast: Cast) -> Word:
    return _pet(cast.one(PET_KINDS), cast.one(PETS))


def _sum(cast: Cast) -> Word:
    """Two numbers and their sum (2 to 9 and 1 to 9), as words, the sum marked."""
    a, b = 2 + int(cast.draw() * 8), 1 + int(cast.draw() * 9)
    total = mark("a", f"{a}+{b}", NUMBERS[a + b])
    return Word(str(a), first=NUMBERS[a], second=NUMBERS[b], total=total, Total=capitalised(total))


CASTERS: dict[str, Caster] = {
    "keepsake": among(tuple(map(thing, KEEPSAKES))), "toy": among(tuple(map(thing, TOYS))),
    "colour": among(_spoken(COLOURS)), "box": among(_BOXES), "fruit": among(tuple(map(thing, FRUIT))),
    "crop": among(tuple(map(thing, CROPS))), "goods": among(tuple(map(thing, GOODS))),
    "food": among(tuple(_grocery(*row) for row in FOOD)),
    "animal": among(tuple(map(thing, ANIMALS))), "circus_animal": among(tuple(map(thing, CIRCUS))),
    "fable_animal": among(tuple(map(thing, FABLE))),
    "grocery": among(tuple(_grocery(*row) for row in GROCERIES)), "pet": _pet_drawn, "sum": _sum,
    "number": among(_spoken(NUMBERS[3:])),
    "secret": among(_spoken(SECRETS)),
    "compared": among(_table(COMPARED, "base er est")), "quality": among(_table(QUALITIES, "base er est")),
    "taste": among(_table(TASTES, "base er est")),
    "habit": among(_table(HABITS, "base s past ing rest")),
}  # fmt: skip
