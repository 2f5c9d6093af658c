import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.generation.writer import Writer
from clearhead.text import Tokenizer


class Pieces:
    """A stream whose ids are places in a list of strings; ``rest`` is what it holds back at the end."""

    def __init__(self, pieces, rest=""):
        self.pieces, self.rest = pieces, rest

    def push(self, token):
        return self.pieces[token]

    def finish(self):
        return self.rest


def through(pieces, stops, *, rest="", cut=True):
    """Every text that comes out, the last from ``finish`` (unless a stop string was found), and whether one was."""
    writer = Writer(Pieces(pieces, rest), stops)
    out = []
    for token in range(len(pieces)):
        out.append(writer.push(token))
        if writer.stopped:
            return out, True
    out.append(writer.finish(cut=cut))
    return out, writer.stopped


def test_without_stop_strings_all_comes_at_once():
    assert through(["ab", "", "c"], []) == (["ab", "", "c", ""], False)


def test_what_may_become_a_stop_string_is_held_until_it_is_decided():
    assert through(["one\n", "\ntwo"], ["\n\n"]) == (["one", ""], True)
    assert through(["one\n", "two"], ["\n\n"]) == (["one", "\ntwo", ""], False)
    assert through(["one\n"], ["\n\n"]) == (["one", "\n"], False)


def test_a_stop_string_may_span_many_tokens_and_begin_inside_one():
    assert through(["say E", "N", "D now"], ["END"]) == (["say ", "", ""], True)


def test_a_stop_string_that_repeats_its_beginning():
    assert through(list("aaab"), ["aab"]) == (["", "", "a", ""], True)


def test_of_two_stop_strings_the_one_that_ends_first_counts():
    assert through(["abcX"], ["abcX", "b"]) == (["a"], True)
    assert through(list("abcX"), ["abcX", "b"]) == (["", "a"], True)
    assert through(["abc"], ["bc", "abc"]) == ([""], True)  # both end here: the longer


def test_bytes_that_a_limit_cut_off_are_left_out_and_those_the_model_ended_with_are_shown():
    tokenizer = Tokenizer.bytes()
    for cut, expected in ((True, "é"), (False, "é\ufffd")):
        writer = Writer(tokenizer.stream(), ["zz"])
        text = "".join(writer.push(byte) for byte in "é你".encode()[:-1])
        assert text == "é"
        assert text + writer.finish(cut=cut) == expected


def test_nothing_comes_after_a_stop_string():
    writer = Writer(Pieces(["a.", "b"]), ["."])
    assert [writer.push(0), writer.push(1), writer.finish(cut=False)] == ["a", "", ""]


texts = st.text(alphabet="abc", max_size=30)


@given(pieces=st.lists(texts, max_size=8), stops=st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
def test_however_the_tokens_cut_it_the_text_is_the_same(pieces, stops):
    whole = "".join(pieces)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    expected = whole[: min(ends)[1]] if ends else whole
    for cut in (pieces, list(whole), [whole]):
        out, stopped = through(cut, stops)
        assert ("".join(out), stopped) == (expected, bool(ends))


@pytest.mark.parametrize("text", ["naïve 你好 🙂 end", "🙂" * 5])
def test_a_stream_of_bytes_gives_whole_characters_only(text):
    writer = Writer(Tokenizer.bytes().stream(), ["好🙂"])
    for byte in text.encode():
        assert "\ufffd" not in writer.push(byte)
