"""Which head and which query: places, words, defaults, and errors."""

import pytest
import torch

from clearhead.analysis import observe
from clearhead.drawing.focus import focus_on, matching, query_row
from clearhead.errors import OptionError
from clearhead.tap import Site
from clearhead.watching import TextRecord, watch
from looked import HEADS, LAYERS, given, looked_at, small, speaking


def words(*tokens: str) -> TextRecord:
    even = [[1 / (row + 1)] * (row + 1) + [0.0] * (len(tokens) - row - 1) for row in range(len(tokens))]
    return given(even, list(tokens))


@pytest.mark.parametrize(
    ("query", "row"),
    [
        (None, 4),  # a full stop is no word
        (0, 0),
        (-1, 5),
        ("2", 2),
        ("-6", 0),
        ("server", 2),
        ("the", 3),  # not the beginning of "then"
        ("bank.", 5),
        ("then bank", 4),
        ("·bank", 4),  # a label
        (" then ", 1),
    ],
)
def test_places_and_words(query: int | str | None, row: int):
    assert (
        query_row(words("I", "·then", "·server", "·the", "·bank", "."), query if query != "then bank" else "bank")
        == row
    )


def test_a_word_of_several_tokens_is_read_by_its_last():
    assert query_row(words("I", "·cra", "sh", "ed", "·it"), "crashed") == 3
    assert query_row(words("I", "·cra", "sh", "ed", "·it"), "crashed it") == 4


def test_a_word_in_bytes_and_a_character_in_fragments():
    record = looked_at("the bank 银行 is")
    assert query_row(record, "bank") == 8
    assert query_row(record, "银") == 12
    assert query_row(record, "银行") == 15
    assert record.tokens[15] == "行₃"


def test_chinese_words_need_no_spaces_around_them():
    record = observe(speaking(), "去银行取钱")
    assert query_row(record, "银行") == 9


@pytest.mark.parametrize(("query", "row"), [("服务", 3), ("服务器", 4), ("务 器", 4), ("崩了。", 7), ("it 服", 2)])
def test_chinese_words_whose_characters_the_tokenizer_sets_apart(query: str, row: int):
    """As BERT's tokenizer decodes: a space before every token, Chinese or not."""
    record = words("[CLS]", "it", "服", "务", "器", "崩", "了", "。", "[SEP]")
    record.pieces = ["", "it", " 服", " 务", " 器", " 崩", " 了", " 。", ""]
    assert query_row(record, query) == row


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ban", "the text has no such word; the tokens are 0 I, 1 ·the, 2 ·bank, 3 ·the"),
        ("the", "it ends at 2 places, 1 ·the, 3 ·the; give the place"),
        ("4", "the places are 0 to 3: 0 I, 1 ·the"),
        (-5, "the places are 0 to 3"),
        (" ", "an empty word was given"),
    ],
)
def test_queries_that_are_not_there(query: int | str, message: str):
    with pytest.raises(OptionError, match=message):
        query_row(words("I", "·the", "·bank", "·the"), query)


def test_long_texts_are_listed_in_part_and_say_so():
    with pytest.raises(OptionError, match=r"63 x, and 37 more$"):
        query_row(looked_at("x" * 100), "y")


def test_a_query_before_the_first_watched_place_is_refused():
    model = small()
    with torch.inference_mode():
        cache = model.state(1, 4)
        model(torch.tensor([[1, 2]]), state=cache)
        with watch(model) as record:
            model(torch.tensor([[3, 4]]), state=cache)
    assert query_row(record.only(), 2) == 0
    with pytest.raises(OptionError, match="is at place 1; this record has queries from place 2 on"):
        query_row(record.only(), 1)


def test_the_head_that_reads_furthest_is_chosen():
    record = looked_at("abcdefg")
    near = [0, 3, 4, 5]  # the first token, the query and its neighbours
    far = {
        (layer, head): 1 - float(record[layer, head][4][near].sum()) for layer in range(LAYERS) for head in range(HEADS)
    }
    focus = focus_on(record, layer=None, head=None, query=4)
    assert (focus.site.layer, focus.head) == max(far, key=far.__getitem__)
    assert (focus.row, focus.among, focus.far) == (4, "all", pytest.approx(max(far.values())))
    in_layer = focus_on(record, layer=1, head=None, query=4)
    assert in_layer.head == max(range(HEADS), key=lambda head: far[1, head])
    assert in_layer.among == "layer 1"
    of_number = focus_on(record, layer=None, head=3, query=4)
    assert of_number.site.layer == max(range(LAYERS), key=lambda layer: far[layer, 3])
    assert of_number.among == "head 3"
    asked = focus_on(record, layer=1, head=2, query=None)
    assert (asked.site, asked.head, asked.row, asked.among) == (Site(1), 2, 7, None)


@pytest.mark.parametrize(
    ("pieces", "row"),
    [
        (["", "国王", "鞠了", "一躬", "。"], 3),
        (["", "it", " cra", "shed", ".", "\n"], 3),
        (["", "“好", "！”", "", ""], 1),  # special tokens behind
        (["", "1", " +", " 1", " =", " "], 4),  # a sign is no punctuation
        (["", "नमस", "\u094d", "ते", "।"], 3),
        (["", "。", "”", ""], 2),  # nothing but punctuation: the text's last token
    ],
)
def test_by_default_the_query_is_the_last_word(pieces: list[str], row: int):
    record = words(*(piece or "<s>" for piece in pieces))
    record.pieces = pieces
    assert query_row(record, None) == row


def test_weight_on_special_tokens_after_the_text_is_not_far():
    """Idle heads of BERT read [SEP]."""
    record = words("[CLS]", "it", "is", "so", "far", ".", "[SEP]", "[SEP]", "[SEP]")
    record.record.tokenized[0, "decoder"].pieces = ["", "it", " is", " so", " far", ".", "", "", ""]
    assert focus_on(record, layer=None, head=None, query=-1).far == pytest.approx(5 / 9)  # "it" to "."


def test_heads_and_layers_that_are_not_there():
    record = looked_at("ab")
    with pytest.raises(OptionError, match="layer 2: the model has layers 0 to 1"):
        matching(record, layer=2, head=None)
    with pytest.raises(OptionError, match="head 6: the model has heads 0 to 5"):
        matching(record, layer=0, head=6)
    with pytest.raises(OptionError, match="head -1"):
        matching(record, layer=None, head=-1)
