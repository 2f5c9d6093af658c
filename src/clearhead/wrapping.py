"""Wraps and aligns text for a terminal, also in scripts without spaces, whose characters take two cells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

# Chinese and Japanese characters and their punctuation; then what may not begin a line, and what may not end one.
_WIDE = "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
_CLOSE, _OPEN = "，。、；：？！…）」』》〉】”’", "（「『《〈【“‘"

# One wide character or one word, with the punctuation and the spaces that stay with it.
_UNIT = re.compile(f"[{_OPEN}]*(?:[{_WIDE}]|[^\\s{_WIDE}{_OPEN}{_CLOSE}]+)?[{_CLOSE}]*\\s*")


def wrapped(text: Text, width: int) -> list[Text]:
    """The text in lines of at most ``width`` cells (a Chinese character takes two). Rich breaks at spaces only.

    A line does not begin with a closing mark or end with an opening one. A word wider than a line stays whole.
    """
    breaks: list[int] = []
    taken = 0
    for unit in _UNIT.finditer(text.plain):
        if taken and taken + cell_len(unit[0].rstrip()) > width:
            breaks.append(unit.start())
            taken = 0
        taken += cell_len(unit[0])
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
    return lines


def filled(text: str, width: int, *, right: bool = False) -> str:
    """The text padded to ``width`` terminal cells (a Chinese character takes two), on the left if ``right``."""
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns are aligned right."""
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(filled(each, width, right=True) for each, width in zip(line, widths, strict=True)) for line in table
    ]
