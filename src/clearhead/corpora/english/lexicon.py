"""English words that a rule may draw freely, because no story keeps track of them."""

from __future__ import annotations

TREES = (
    "oak",
    "apple tree",
    "chestnut tree",
    "willow",
    "pear tree",
    "cherry tree",
    "birch",
    "maple",
    "lime tree",
    "fir",
)

WORDS: dict[str, tuple[str, ...]] = {
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "season": ("summer", "autumn", "winter"),
    "neighbour": (
        "the baker", "the old farmer", "the miller", "a tall soldier", "the blacksmith", "the teacher",
        "a travelling singer", "the shepherd", "a young sailor", "the postal clerk", "the gardener",
        "the doctor", "two farmers from the next village",
        "an old soldier with a stick", "the ferryman", "a child with a drum", "some children from the school",
        "a family from the city",
    ),
    "small_animal": (
        "squirrel", "rabbit", "hedgehog", "lizard", "frog", "hare", "blackbird", "kitten", "hen", "grey cat",
        "young fox", "robin",
        "weasel", "toad", "sparrow", "puppy", "duckling", "brown goat",
    ),
    "load": (
        "a basket of eggs", "a sack of flour", "two heavy buckets", "a bundle of sticks", "a long ladder",
        "a crate of apples",
        "a new chair", "a roll of cloth", "a pile of books", "an armful of hay", "a big pumpkin",
        "a cage with two hens", "a cello",
        "a bag of cement", "a pot of paint", "a heavy carpet", "a block of ice", "a barrel of herring",
        "a stack of plates", "a sleeping baby", "a tall mirror",
    ),
    "drink": ("water", "milk", "apple juice", "warm tea", "lemonade", "cocoa"),
    "dish": (
        "bread and cheese", "a bowl of soup", "potatoes with butter", "an apple and some nuts",
        "rice and beans", "a slice of pie",
        "noodles", "a boiled egg", "pancakes", "fried fish", "a plate of dumplings", "cold chicken",
        "baked beans", "a cheese sandwich",
        "roast chestnuts", "mushroom stew", "tomato salad", "oat porridge",
    ),
    "flower": ("roses", "tulips", "daisies", "sunflowers", "poppies", "lilies", "violets", "bluebells",
    "marigolds", "daffodils"),
    "tree": TREES,
    "a_tree": tuple(("an " if tree[0] in "aeiou" else "a ") + tree for tree in TREES),
    "game": (
        "hide and seek", "tag", "chess", "marbles", "football", "a guessing game", "cards", "dominoes",
        "hopscotch",
    ),
    "song": (
        "an old song about the sea", "a song about a lazy cat", "a slow song", "a funny song",
        "a song from the mountains",
        "a song without words", "a sad song about a goose", "a song with nine verses", "a lullaby",
        "a marching song",
    ),
    "book": (
        "a book about ships", "a book of fairy tales", "a thick book about animals", "a book about the moon",
        "an old cookbook",
        "a book about knights", "a book of riddles", "a book without pictures", "a travel book",
        "a book about bees", "a book about a clever thief",
    ),
    "trait": (
        "curious", "cheerful", "clever", "shy", "quiet", "patient", "careful", "stubborn", "kind-hearted",
        "hard-working", "truthful",
        "friendly", "restless", "dreamy", "brave", "funny", "gentle", "lively", "polite", "serious",
        "thoughtful", "merry", "tidy",
        "forgetful", "helpful", "lucky",
    ),
    "love": (
        "music", "apples", "old maps", "animals", "the sea", "stories", "long walks", "puzzles",
        "the smell of bread", "birds",
        "drawing", "boats", "the snow", "questions", "trains", "riddles", "mushrooms", "bicycles", "numbers",
        "secrets",
        "thunderstorms", "honey", "clocks", "dancing", "cold baths",
    ),
}  # fmt: skip
