"""A document in pieces gives the ids of the whole document: the claim of pieces.py, for every pattern."""

import itertools

import pytest
import tokenizers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from clearhead.errors import TextError
from clearhead.text import Tokenizer
from clearhead.text.tokenizers import pieces
from clearhead.text.tokenizers.learned import LLAMA3_WORDS, SEPARATOR, WORD_ENDS, state_of
from clearhead.text.tokenizers.pieces import CUT_GPT2, CUT_QWEN2, CUT_SINGLE, TextBlock, batches, cut
from clearhead.text.tokenizers.recognising import recognise

SAMPLE = (
    "It's 2024!\n\n  Don't  say:\r\n \t'you'll'...\n你好，世界。\n\n第１回 “王”\u3000见\n \n x\u00a0y\n\n\n" * 3
    + "a.\n\nb!\n c  d\n\t\te 12 345\r\n\r\nf\u2028g \n\nh"
)


def trained(pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizer
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    library.train_from_iterator(
        [SAMPLE], trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    return Tokenizer(library)


def words(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


TOKENIZERS = {
    "bytes": (Tokenizer.bytes(), CUT_SINGLE),
    "characters": (Tokenizer.characters([SAMPLE + "你a1.!?'rex"]), CUT_SINGLE),
    "bpe": (Tokenizer.train_bpe([SAMPLE], 400), CUT_QWEN2),
    "character-bpe": (Tokenizer.train_bpe([SAMPLE], 400, units="characters"), CUT_QWEN2),
    "unigram": (Tokenizer.train_unigram([SAMPLE], 400), CUT_QWEN2),
    "characters and bytes": (Tokenizer.train_characters([SAMPLE]), CUT_SINGLE),
    "gpt2": (trained(pre_tokenizers.ByteLevel(add_prefix_space=False)), CUT_GPT2),
    "llama3": (trained(words(LLAMA3_WORDS)), CUT_QWEN2),
}
# white space of every sort, letters, digits, marks, and the separator, whole and in parts
PARTS = [" ", " ", "\n", "\n", "\r", "\t", "\u3000", "\u00a0", "\u2028", "a", "re", "x", "'", ".", "?", "1", "你", "，"]
TEXT = st.lists(st.sampled_from([*PARTS, SEPARATOR, "<|", "end"]), max_size=60).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=TEXT)
@example(text=SAMPLE)
@settings(max_examples=150)
def test_pieces_give_the_ids_of_the_whole(name: str, text: str):
    tokenizer, rule = TOKENIZERS[name]
    assert tokenizer.cuts is rule
    if name == "characters":
        text = text.replace("|", "e").replace("<", "e").replace(">", "e")  # not among its characters
    found = [piece.text for piece in cut([TextBlock(text, True)], rule, size=1)]
    assert "".join(found) == text
    joined = list(itertools.chain.from_iterable(tokenizer.encode(piece) for piece in found))
    assert joined == tokenizer.encode(text)


RUN = st.tuples(st.sampled_from(PARTS), st.sampled_from([1, 1, 255, 256, 257, 512])).map(lambda run: run[0] * run[1])


@given(text=st.lists(RUN, max_size=8).map("".join))
@settings(max_examples=100)
def test_pieces_with_long_runs_give_the_ids_of_the_whole(text: str):
    """A run is cut after 256 characters, counted from its start, so a piece must not begin within one."""
    tokenizer, rule = TOKENIZERS["bpe"]
    found = [piece.text for piece in cut([TextBlock(text, True)], rule, size=1)]
    assert [token for piece in found for token in tokenizer.encode(piece)] == tokenizer.encode(text)


UNBROKEN = st.tuples(
    st.sampled_from(["a", ".", "1", "你", "，", "'re", "\u0301", "<|", "e", SEPARATOR]),
    st.sampled_from([1, 2, 255, 256, 257, 900]),
).map(lambda run: run[0] * run[1])


@pytest.mark.parametrize("name", ["bpe", "character-bpe", "unigram", "bytes", "characters and bytes"])
@given(text=st.lists(UNBROKEN, max_size=14).map("".join), sizes=st.lists(st.integers(1, 3000), max_size=9))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_that_the_rule_does_not_cut_are_cut_between_words(
    name: str, text: str, sizes: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pieces, "LONG", 2048)
    tokenizer, rule = TOKENIZERS[name]
    ends = [*itertools.accumulate(sizes), len(text)]
    blocks = [
        TextBlock(text[start:end], start == 0) for start, end in itertools.pairwise([0, *ends])
    ]  # as read from a file
    found = [piece.text for piece in cut(blocks, rule, size=1, words=WORD_ENDS[tokenizer.kind])]
    assert "".join(found) == text
    assert all(len(each) <= 2048 for each in found)
    assert [token for each in found for token in tokenizer.encode(each)] == tokenizer.encode(text)


def test_a_run_that_is_one_word_has_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "LONGEST", 999)
    assert len(list(cut([TextBlock("a" * 999, True)], CUT_GPT2))) == 1
    assert len(list(cut([TextBlock("a" * 997 + " b", True)], CUT_GPT2, size=9))) == 2
    with pytest.raises(
        TextError, match="a run of more than 999 characters, which this tokenizer encodes as one word: break it"
    ):
        list(cut([TextBlock("a" * 1000, True)], CUT_GPT2))
    assert len(list(cut([TextBlock("a" * 1000, True)], None))) == 1  # an unknown tokenizer: a document is one piece
    assert len(list(cut([TextBlock("a" * 1000, True)], CUT_SINGLE, size=1))) == 1000


def test_pieces_are_small_where_the_text_allows_it():
    for tokenizer, rule in TOKENIZERS.values():
        lengths = [len(piece.text) for piece in cut([TextBlock(SAMPLE, True)], rule, size=1)]
        assert max(lengths) < 40, tokenizer.kind


def test_an_unknown_pattern_is_never_cut():
    odd = trained(words(r"\w+|\W+"))
    assert (odd.kind, odd.cuts) == ("file", None)
    assert list(cut([TextBlock("a b\n", True), TextBlock("c d", False)], odd.cuts, size=1)) == [
        TextBlock("a b\nc d", True)
    ]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", {"type": "NFC"}),
        ("decoder", None),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    ],
)
def test_any_habit_that_is_not_understood_forbids_cuts(part: str, value: object):
    state = state_of(TOKENIZERS["bpe"][0]._library)
    assert recognise(state) == ("bpe", CUT_QWEN2)
    assert recognise({**state, part: value}) == ("file", None)


def test_added_tokens_that_swallow_white_space_forbid_cuts():
    state = state_of(TOKENIZERS["bpe"][0]._library)
    state["added_tokens"][0]["lstrip"] = True
    assert recognise(state) == ("file", None)


@given(
    documents=st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=4),
    size=st.integers(1, 30),
    rule=st.sampled_from([CUT_GPT2, CUT_QWEN2, CUT_SINGLE, None]),
)
def test_documents_stay_apart_however_they_arrive(documents: list[list[str]], size: int, rule: object):
    arriving = [TextBlock(text, n == 0) for texts in documents for n, text in enumerate(texts)]
    leaving = list(cut(arriving, rule, size))
    found: list[str] = []
    for block in leaving:
        if block.begins:
            found.append(block.text)
        else:
            found[-1] += block.text
    assert found == ["".join(texts) for texts in documents]


def test_a_text_without_places_to_cut_is_searched_once():
    class Counting:
        searched = 0

        def search(self, text: str, place: int, end: int) -> None:
            self.searched += min(len(text), end) - place

    rule = Counting()
    blocks = [TextBlock("x" * 1000, n == 0) for n in range(100)]
    assert [len(block.text) for block in cut(blocks, rule, size=10)] == [100_000]  # type: ignore[arg-type]
    assert rule.searched <= 100_000 + 100  # the last character of each block twice


def test_batches_hold_about_what_is_asked():
    arriving = [TextBlock("x" * 9, True)] * 25
    assert [len(batch) for batch in batches(arriving, 100)] == [10, 10, 5]
