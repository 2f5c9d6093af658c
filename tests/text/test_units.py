"""The text decides the units of its tokens, and bytes stand for the characters that it lacks."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tokens import Texts

from clearhead.text import SEPARATOR, Tokenizer, learn, vocabulary_size
from clearhead.text.tokenizers.characters import Characters
from clearhead.text.tokenizers.pieces import PIECE

ENGLISH = "The king bowed to the queen. " * 40
CHINESE = "国王向女王鞠了一躬。女王笑了。" * 40
TOKENIZERS = {
    "characters": Tokenizer.train_characters([CHINESE]),
    "character-bpe": Tokenizer.train_bpe([CHINESE], units="characters"),
}


def learned(kind: str, text: str, cache: Path, size: int | None = None) -> Tokenizer:
    return learn(kind, [Texts(text)], vocab_size=size, cache=cache)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ENGLISH, "bpe"),
        ("Der König verneigte sich. Король поклонился. " * 20, "bpe"),
        (CHINESE, "character-bpe"),
        ("王様は女王にお辞儀をした。" * 20, "character-bpe"),
        ("왕이 여왕에게 절했다. " * 20, "character-bpe"),
        ("The king bowed to the queen.\t国王向女王鞠了一躬。\n" * 20, "character-bpe"),  # 9 of 33 characters
        ("The king bowed low to the queen, and the queen smiled.\t国王鞠躬。\n" * 20, "bpe"),  # 4 of 49
        (" " * 1000 + "国王", "character-bpe"),  # white space does not count
    ],
)
def test_a_fifth_in_chinese_japanese_or_korean_makes_characters_the_units(tmp_path: Path, text: str, kind: str):
    assert learned("auto", text, tmp_path).kind == kind


def test_other_texts_get_the_very_tokens_of_bpe(tmp_path: Path):
    auto, bpe = (learned(kind, ENGLISH, tmp_path) for kind in ("auto", "bpe"))
    assert auto.to_json() == bpe.to_json()


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_what_the_text_lacks_is_written_in_bytes(tmp_path: Path, kind: str):
    tokenizer = learned(kind, CHINESE, tmp_path)
    assert tokenizer.encode("I love you") == list(b"I love you")
    assert tokenizer.labels(tokenizer.encode("é!")) == ["é₁", "é₂", "!"]
    assert tokenizer.decode([*"鸟".encode()]) == "鸟"
    assert tokenizer.unknown is None


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text() | st.text(alphabet="国王<0xE4>é🙂|\n"))
def test_every_text_comes_back(kind: str, text: str):
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_lengths()[ids].sum() == len(text.replace(SEPARATOR, "").encode())


def test_characters_of_english_have_no_bytes_behind(tmp_path: Path):
    assert learned("characters", "ab", tmp_path).vocab_size == 3


def test_bytes_then_characters_then_merges_then_the_separator():
    tokenizer = Tokenizer.train_bpe(["国王国王国王女"], units="characters")
    assert tokenizer.labels(range(256, tokenizer.vocab_size)) == ["国", "王", "国王", "国王国王", SEPARATOR]
    assert tokenizer.encode("国王女王") == [258, *"女".encode(), 257]  # 女 occurs once


def test_as_many_merges_as_bytes_would_have_tokens():
    text = "".join(chr(0x4E00 + n * n % 997) for n in range(60_000))
    characters = len(set(text))
    assert Tokenizer.train_bpe([text], units="characters").vocab_size == 257 + characters + vocabulary_size(180_000)


def test_merges_that_save_too_little_are_dropped(tmp_path: Path):
    text = "".join(random.Random(1).choices([chr(0x4E00 + n) for n in range(100)], k=4000))
    tokenizer = learned("auto", text, tmp_path)
    assert (tokenizer.kind, tokenizer.vocab_size) == ("characters", 357)
    assert learned("auto", text, tmp_path, size=400).kind == "character-bpe"  # asked for
    assert learned("character-bpe", text, tmp_path).vocab_size > 700


def test_a_rare_character_of_a_long_text_is_written_in_bytes():
    found = Characters()
    found.add("国" * 999_993 + "王" * 3 + "女" * 4)
    assert found.frequent() == ["国", "女"]  # of a million characters, four are enough


def test_a_small_vocabulary_has_the_most_frequent_characters(tmp_path: Path):
    tokenizer = learned("auto", "国国国王王王王女女", tmp_path, size=259)
    assert tokenizer.labels(range(256, 259)) == ["国", "王", SEPARATOR]
    assert learned("auto", CHINESE, tmp_path, size=257).encode("国") == [*"国".encode()]


def test_nothing_is_merged_across_a_character_without_a_token():
    tokenizer = Tokenizer.train_bpe([f"国{chr(0x4E00 + n)}王" for n in range(50)], units="characters")
    assert tokenizer.labels(range(256, tokenizer.vocab_size)) == ["国", "王", SEPARATOR]


def test_a_file_that_lacks_a_byte_is_not_of_the_kind(tmp_path: Path):
    state = json.loads(TOKENIZERS["character-bpe"].to_json())
    del state["model"]["vocab"]["<0xE4>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    assert Tokenizer.load(tmp_path).kind == "file"


def test_characters_are_counted_as_they_pass():
    found = Characters()
    for part in ["ab", "b", "国" * PIECE, "🙂b\n"]:
        found.add(part)
    assert found.all() == ["\n", "a", "b", "国", "🙂"]
    assert found.frequent() == ["国", "b"]
    assert found.frequent(1) == ["国"]
    assert found.has_large_script()


def test_neighbours_without_a_token_do_no_harm():
    text = "".join(f"国。{chr(0x4E00 + n)}{chr(0x5200 + n)}。国[]-^" for n in range(50))
    tokenizer = Tokenizer.train_bpe([text], units="characters")
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert not any("\n" in label for label in tokenizer.labels(range(256, tokenizer.vocab_size)))
