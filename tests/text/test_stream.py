"""Streams give whole characters only, and in the end the whole text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import LEARNED, ODD, sentence_pieces, word_pieces

from clearhead.text import Tokenizer

CHARACTER_ENDS = [("你", ["", "", "你"]), ("é", ["", "é"]), ("🙂", ["", "", "", "🙂"]), ("a", ["a"])]


@pytest.mark.parametrize(("character", "pushes"), CHARACTER_ENDS)
def test_a_character_comes_with_its_last_byte(character: str, pushes: list[str]):
    stream = LEARNED["bytes"].stream()
    assert [stream.push(byte) for byte in character.encode()] == pushes
    assert stream.finish() == ""


@pytest.mark.parametrize("tokenizer", [*LEARNED.values(), word_pieces()])
@given(data=st.data())
def test_pushes_join_to_the_decoded_text(tokenizer: Tokenizer, data: st.DataObject):
    known = [n for n in range(tokenizer.vocab_size) if n != tokenizer.separator]
    ids = data.draw(st.lists(st.sampled_from(known), max_size=30))
    stream = tokenizer.stream()
    pushes = [stream.push(token) for token in ids]
    assert "".join(pushes) + stream.finish() == tokenizer.decode(ids)


@given(text=st.text(alphabet="ab 你é"))
def test_pushes_join_to_the_text_of_sentence_pieces(text: str):
    tokenizer = sentence_pieces()
    stream = tokenizer.stream()
    ids = tokenizer.encode(text)
    assert "".join([stream.push(token) for token in ids]) == tokenizer.decode(ids)
    assert stream.finish() == ""


@pytest.mark.parametrize("kind", LEARNED)
def test_text_never_shows_a_broken_character(kind: str):
    stream = LEARNED[kind].stream()
    shown = [stream.push(token) for token in LEARNED[kind].encode(ODD)]
    assert not any("\ufffd" in part for part in shown)
    assert "".join(shown) == ODD


def test_a_character_that_never_ends_is_reported_at_the_end():
    for tokenizer, first in ((LEARNED["bytes"], 0xE4), (sentence_pieces(), 5 + 0xE4)):
        stream = tokenizer.stream()
        assert stream.push(first) == ""
        assert stream.finish() == "\ufffd"


def test_a_character_in_bytes_among_sentence_pieces():
    tokenizer = sentence_pieces()
    stream = tokenizer.stream()
    assert [stream.push(token) for token in tokenizer.encode("a 你b")] == ["a", " ", "", "", "你", "b"]
