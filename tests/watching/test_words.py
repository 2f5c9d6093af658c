"""Words as places of a map: the same weights as by the number that the tokens give by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from clearhead.analysis import observe
from clearhead.attend import attend, causal
from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching import AttentionMap, Knockout, TextRecord, TokenizedText, watch
from clearhead.watching.finding import LISTED, place_of
from definition import Watched
from heads import lively
from two_stacks import CROSS, one

MODEL = lively("grouped, normed, rotated")
TEXT = "我 see it, it saw"  # after the separator come three bytes of 我, and then one token for each character
SEE, WO, SAW = 7, 3, 18


def record(text: str = TEXT) -> TextRecord:
    return observe(MODEL, text)


def test_a_word_is_the_place_of_its_last_token() -> None:
    a = record()[1, 2]
    assert isinstance(a, AttentionMap)
    assert (record().tokens[SEE], record().tokens[SAW], a.shape[0] - 1) == ("e", "w", SAW)
    assert a[-1, "see"] == a[SAW, SEE]
    assert a["saw", "我"] == a[SAW, WO]
    assert torch.equal(a["see"], a[SEE])
    assert torch.equal(a[:, "我"], a[:, WO])
    assert torch.equal(a["saw", 2:5], a[SAW, 2:5])
    assert a.mass_on_sink("see") == a.mass_on_sink(SEE)


def test_it_is_the_place_that_an_edit_takes() -> None:
    a = observe(MODEL, TEXT, edits=Knockout(layer=1, query="saw", key="see", head=2))[1, 2]
    assert isinstance(a, AttentionMap)
    assert a["saw", "see"] == 0
    assert int((a[SAW] == 0).sum()) == 1


def test_between_two_texts_each_side_has_words_of_its_own() -> None:
    a = one().map(CROSS, 0)
    assert a["chat", "cat"] == a[2, 2]
    assert a["le", "red"] == a[1, 1]
    with pytest.raises(WatchError, match=r"query is 'cat': the text has no such word; .* 0 <s>, 1 le, 2 ·chat$"):
        a["cat"]


def test_rows_that_were_not_watched() -> None:
    """The watch begins at place 5 of a text that is in the cache; its words are known by number alone."""
    ids = torch.tensor([MODEL.encode(TEXT)])
    with torch.inference_mode():
        state = MODEL.network.state(1, 20)
        MODEL.network(ids[:, :5], state=state)
        with watch(MODEL) as later:
            MODEL.network(ids[:, 5:], state=state)
    later.tokenized[0, "decoder"] = record().tokenized("decoder")
    a = later.only()[1, 2]
    assert isinstance(a, AttentionMap)
    assert (a.shape, a.first_place) == ((SAW - 4, SAW + 1), 5)
    torch.testing.assert_close(a["see"], record()[1, 2][SEE])  # type: ignore[index]
    torch.testing.assert_close(a["saw", "我"], record()[1, 2][SAW, WO])  # type: ignore[index]
    with pytest.raises(WatchError, match=r"query '我' is at place 3; the map has the queries 5 to 18"):
        a["我"]


def unknown() -> AttentionMap:
    with watch(Watched({Site(0): 1})) as watched:
        attend(*(torch.ones(1, 1, 3, 2) for _ in "qkv"), mask=causal(), site=Site(0))
    return watched.map(Site(0), 0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: record()[0, 1][-1, "it"],
            r"^AttentionMap\(.*\): key is 'it': it ends at 2 places; give the place: 10 t, 14 t$",
        ),
        (
            lambda: record()[0, 1]["sea"],
            "query is 'sea': the text has no such word; name a word of the text, or a place: 0 <",
        ),
        (lambda: record()[0, 1][0, "sa"], "key is 'sa': the text has no such word"),  # a part of a word
        (lambda: record()[0, 1][0, " "], "key is ' ': the text has no such word"),
        (
            lambda: record()[0, 1]["see":],
            r"query slice\('see', None, None\) was asked for; a slice is of places by number",
        ),
        (
            lambda: record()[0, 1][-1, 2.5],
            "key 2.5 was asked for; name it by its place, from 0 to 18, by a word of the",
        ),
        (lambda: unknown()["see"], "query is 'see', and the words of the text are not known; give its place"),
    ],
)
def test_other_words_are_refused(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(WatchError, match=message):
        ask()


def test_of_a_long_text_the_tokens_that_are_spelled_alike_are_listed() -> None:
    words = ["walked"] * LISTED + ["thought", "though"]
    text = TokenizedText(tokens=words, pieces=[f" {word}" for word in words])
    with pytest.raises(
        WatchError, match=f"name a word of the text, or a place: {LISTED} thought, {LISTED + 1} though$"
    ):
        place_of(text, "thoughts", "here", "key")
    with pytest.raises(WatchError, match=r"name a word of the text, or a place: 0 walked, 1 walked, .* and 2 more$"):
        place_of(text, "xyz", "here", "key")
