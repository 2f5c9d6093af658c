"""The table: its numbers, its width, its alignment, and nothing that could harm a terminal."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from clearhead.analysis import observe
from clearhead.drawing import table_of_attention
from clearhead.drawing.terminal import bar
from clearhead.errors import OptionError
from clearhead.tap import Site
from clearhead.watching import Knockout
from looked import HEADS, LAYERS, SUNK, THREE, by_hand, given, looked_at, small, speaking


def printed(table: object, width: int = 80, *, terminal: bool = False, colour: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=terminal, no_color=not colour, highlight=False).print(table)
    return file.getvalue()


def heads_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r"\d+\.\d+ ", line)]


def test_a_head_known_by_hand():
    lines = printed(table_of_attention(given(*THREE))).splitlines()
    assert lines[0] == "what place 2 “·crashed” attends to, of 3 tokens"
    assert lines[1].rstrip() == "0 the  1 ·server  2 ·crashed"
    assert lines[3].split() == ["head", "attends", "most", "to", "nats", "1st", "prev", "dist"]
    (line,) = heads_of("\n".join(lines))
    # entropy 0.5 ln 2 + 0.375 ln 8/3 + 0.125 ln 8 = 0.97; distance 0.5 * 2 + 0.125 = 1.1
    assert re.sub(r"[▏▎▍▌▋▊▉█]+", "", line).split() == [
        "0.0", "0", "the", "0.50", "2", "·crashed", "0.38", "0.97", "0.50", "0.12", "1.1"
    ]  # fmt: skip
    assert "sum to 1 within" in " ".join(lines)


def test_with_a_sink_the_notes_say_by_how_much_a_row_sums_to_less():
    found = printed(table_of_attention(given(*SUNK, sink=1 / 16)), 60)
    assert found.splitlines()[3].split() == ["head", "attends", "most", "to", "nats", "1st", "prev", "dist", "sink"]
    (line,) = heads_of(found)
    assert line.split()[-1] == "0.06"
    legend = " ".join(found.split())
    assert "sink: weight on the attention sink, which is not a token. With it, rows sum to 1 within" in legend
    assert "weights of a row sum to 1" not in legend
    assert float(re.search(r"sum to 1 within (\S+)\.", legend)[1]) < 1e-6


def test_every_head_has_a_line_with_its_own_numbers():
    record = looked_at("the server")
    expected = by_hand(small(), record.ids)[:, :, 4]
    lines = heads_of(printed(table_of_attention(record, 4, model="runs/book"), 160))
    assert [line.split()[0] for line in lines] == [
        f"{layer}.{head}" for layer in range(LAYERS) for head in range(HEADS)
    ]
    for line in lines:
        layer, head = map(int, line.split()[0].split("."))
        key, label, *rest = line.split()[1:]
        best = int(expected[layer, head].argmax())
        assert (int(key), label) == (best, record.tokens[best])
        weight = next(float(part) for part in rest if re.fullmatch(r"[01]\.\d\d", part))
        assert weight == pytest.approx(expected[layer, head, best], abs=0.006)


@pytest.mark.parametrize("width", [60, 80, 81, 120, 200])
@pytest.mark.parametrize("text", ["I crashed the server.", "服务员，请把账单给我。the check", "a", "x" * 100])
def test_no_line_is_wider_than_the_terminal_and_columns_stand_in_line(text: str, width: int):
    record = observe(speaking(context=128), text)
    lines = printed(table_of_attention(record, model="runs/book"), width).splitlines()
    assert max(cell_len(line.rstrip()) for line in lines) <= width
    table = heads_of("\n".join(lines))
    heading = next(line for line in lines if line.startswith("head"))
    assert len({cell_len(line) for line in (*table, heading)}) == 1


def test_labels_of_whole_chinese_words_stand_in_line_and_are_cut_visibly():
    tokens = ["<|endoftext|>", "服务员", "，请把账单给我们看一看吧", "a", "。"]
    even = [[1 / (row + 1)] * (row + 1) + [0.0] * (4 - row) for row in range(5)]
    text = printed(table_of_attention(given(even, tokens), -1))
    assert len({cell_len(line) for line in heads_of(text)}) == 1
    assert "…" in heads_of(text)[0]
    assert max(map(cell_len, text.splitlines())) <= 80


def test_wider_terminals_show_more_keys():
    record = looked_at("I crashed the server.")
    key = r"\d+ \S+ +[▏▎▍▌▋▊▉█ ]+ (?:0\.\d\d|1\.00|<\.01)"
    first_lines = [heads_of(printed(table_of_attention(record), width))[0] for width in (60, 80, 120, 240)]
    keys = [len(re.findall(key, line)) for line in first_lines]
    assert keys == sorted(keys)
    assert keys[0] >= 1
    assert keys[-1] == 8


def test_layer_and_head_narrow_it():
    record = looked_at("abc")
    assert [line.split()[0] for line in heads_of(printed(table_of_attention(record, layer=1)))] == [
        f"1.{n}" for n in range(HEADS)
    ]
    assert [line.split()[0] for line in heads_of(printed(table_of_attention(record, head=3)))] == ["0.3", "1.3"]
    assert [line.split()[0] for line in heads_of(printed(table_of_attention(record, layer=0, head=5)))] == ["0.5"]
    with pytest.raises(OptionError, match="layer 2"):
        table_of_attention(record, layer=2)


def test_words_choose_the_query():
    assert "what place 6 “k” attends to" in printed(table_of_attention(looked_at("a bank."), "bank"))


def test_without_colour_nothing_but_text_and_with_it_colours():
    table = table_of_attention(looked_at("abc"))
    assert "\x1b" not in printed(table)
    plain = printed(table, terminal=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", plain)
    assert re.search(r"\x1b\[[0-9;]*36m", printed(table, terminal=True, colour=True))


def test_hostile_labels_and_names_are_written_out():
    record = given([[1.0, 0.0], [0.5, 0.5]], ["\x1b]0;owned\x07", "\u202e[bold]x[/bold]"])
    text = printed(table_of_attention(record, model="runs/\x1b[2J"), 120)
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "<U+001B>]0;owned<U+0007>" in text
    assert "<U+202E>[bold]x[/bold]" in text


def test_long_texts_list_the_tokens_around_the_query():
    text = printed(table_of_attention(looked_at("x" * 40 + "y" + "z" * 50), 41), 200)
    assert "… 17 before  17 x" in text
    assert "65 z  26 after …" in text
    assert "41 y" in text


def test_a_query_that_sees_nothing():
    edits = [Knockout(layer=1, query=1, key=key, head=2) for key in (0, 1)]
    record = observe(speaking(), "ab", edits=edits)
    (line,) = heads_of(printed(table_of_attention(record, 1, layer=1, head=2)))
    assert line.split() == ["1.2", "0.00", "0.00", "0.00", "0.0"]
    assert record.visible(Site(1), slice(1, 2)).any(dim=-1).flatten().tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("weight", "text"), [(0, "   "), (1, "███"), (0.5, "█▌ "), (1 / 24, "▏  "), (0.02, "   "), (0.98, "███")]
)
def test_bars(weight: float, text: str):
    assert bar(weight, 3) == text
