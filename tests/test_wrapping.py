"""Lines that fit: full, broken between Chinese characters, and with no mark on the wrong side of a break."""

import pytest
from rich.cells import cell_len
from rich.text import Text

from clearhead.wrapping import wrapped

CHINESE = (
    "各个和除以 √d = 5.657，这样就不会随头的宽度（d = 32）变大。"
    "对每个分数取 e 的幂，再除以整行之和，于是一行的权重之和为 1。"
)


def lines_of(text: str, width: int) -> list[str]:
    return [line.plain for line in wrapped(Text(text), width)]


def test_lines_break_between_chinese_characters_and_not_before_a_comma():
    assert lines_of("一行的权重，和为 1。", 10) == ["一行的权", "重，和为", "1。"]
    assert lines_of("一行（权重）", 6) == ["一行", "（权", "重）"]


def test_english_breaks_at_spaces():
    assert lines_of("the weights of a row", 11) == ["the weights", "of a row"]
    assert lines_of("a unbreakable b", 5) == ["a", "unbreakable", "b"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_chinese_lines_are_full_and_nothing_is_lost(width: int):
    lines = lines_of(CHINESE, width)
    widths = [cell_len(line) for line in lines]
    assert max(widths) <= width
    assert min(widths[:-1]) > width - 10  # a short word or a mark moves to the next line
    assert "".join("".join(lines).split()) == "".join(CHINESE.split())


def test_styles_stay_where_they_were():
    (first, second) = wrapped(Text.assemble(("权重", "bold"), "之和"), 4)
    assert [(span.style, span.start, span.end) for span in first.spans] == [("bold", 0, 2)]
    assert not second.spans
