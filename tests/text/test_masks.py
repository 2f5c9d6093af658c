"""The mask token of tokenizers learned here, and which tokens belong to one word."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import LEARNED

from clearhead.text import Tokenizer
from clearhead.text.tokenizers.words import word_edges

TEXT = "the king bowed to the queen, and the queen's servant bowed too. " * 20
MADE = {
    "bytes": Tokenizer.bytes(),
    "characters": Tokenizer.characters([TEXT]),
    "bpe": Tokenizer.train_bpe([TEXT], 300),
}


@pytest.mark.parametrize("kind", MADE)
class TestMask:
    def test_it_is_the_last_token_and_changes_no_other(self, kind: str):
        plain, made = MADE[kind], MADE[kind].with_mask()
        assert (made.role("mask"), made.vocab_size) == (plain.vocab_size, plain.vocab_size + 1)
        assert (made.kind, made.cuts, made.front, made.separator, made.end) == (
            (plain.kind, plain.cuts, plain.front, plain.separator, plain.end)
        )
        assert made.encode(TEXT) == plain.encode(TEXT)
        assert made.with_mask() is made

    def test_a_mask_in_a_text_is_found(self, kind: str):
        made = MADE[kind].with_mask()
        ids = made.encode("the king [MASK]<|endoftext|>")
        space = [] if kind == "bpe" else made.encode(" ")  # a word's token has the space before it
        assert ids == [*made.encode("the king"), *space, made.role("mask"), made.separator]
        assert made.decode(ids).replace(" ", "") == "theking[MASK]<|endoftext|>"

    def test_it_comes_back_from_its_folder(self, kind: str, tmp_path: Path):
        made = MADE[kind].with_mask()
        made.save(tmp_path)
        found = Tokenizer.load(tmp_path)
        assert (found.kind, found.fingerprint, found.roles) == (made.kind, made.fingerprint, made.roles)
        assert found.role("pad") == found.separator

    def test_documents_are_read_as_without_it(self, kind: str):
        plain, made = MADE[kind], MADE[kind].with_mask()
        assert made.of_text().fingerprint == plain.fingerprint
        assert plain.of_text() is plain

    def test_what_may_be_masked(self, kind: str):
        made = MADE[kind].with_mask()
        assert np.flatnonzero(~made.ordinary).tolist() == sorted([made.separator, made.role("mask")])


def words(tokenizer: Tokenizer, text: str) -> list[list[str]]:
    """The pieces of each word."""
    ids = tokenizer.encode(text)
    begins, ends = tokenizer.word_edges
    found: list[list[str]] = []
    for place, token in enumerate(ids):
        piece = tokenizer.labels([token])[0]
        if place and begins[token] and ends[ids[place - 1]]:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def test_words_of_bytes():
    text = words(Tokenizer.bytes(), "née, 20 你好")
    assert [len(word) for word in text] == [4, 1, 1, 2, 1, 3, 3]  # née , space 20 space 你 好


def test_words_of_learned_pieces():
    """Joined, the pieces are the words, each with the space in front of it unless that is a token of its own."""
    joined = ["".join(word) for word in words(MADE["bpe"], "the king's servantking\nbowed x9.")]
    assert joined == ["the", "·king", "'s", "·servantking", "⏎", "bowed", "·", "x9", "."]


def test_words_of_word_pieces():
    parts = {0: b"german", 1: b"##y", 2: b"is", 3: b"."}
    begins, ends = word_edges(parts, 5, "##")
    assert begins.tolist() == [False, True, False, False, False]
    assert ends.tolist() == [True, True, True, True, False]


@given(st.text())
def test_a_character_is_never_cut(text: str):
    """In bytes, those of one character are one word."""
    tokenizer = Tokenizer.bytes()
    ids = tokenizer.encode(text.replace("<", ""))
    begins, ends = tokenizer.word_edges
    for before, token in pairwise(ids):
        if 0x80 <= token < 0xC0:
            assert begins[token]
            assert ends[before] or before < 0xC0


def test_an_existing_mask_token_stays():
    for name, tokenizer in LEARNED.items():
        assert tokenizer.with_mask().role("mask") == tokenizer.vocab_size, name
