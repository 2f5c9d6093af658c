"""One display string per id: whole characters, visible white space, numbered fragments of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

_SUBSCRIPTS = "₀₁₂₃₄"  # UTF-8 has at most four bytes per character
_VISIBLE = {"\n": "⏎", "\t": "⇥", " ": "·", "\x7f": "␡"}


def labels(parts: Sequence[bytes]) -> list[str]:
    """The labels of ids that stand for these bytes.

    An id with only some bytes of a character shows the whole character and its number among the ids that share it:
    你₁ 你₂ 你₃. A space is shown as ·, a newline as ⏎, a tab as ⇥, other white space as ␣, control characters by their
    Unicode pictures (␀), a byte of no character as <0xE4>.
    """
    ends = list(accumulate(len(part) for part in parts))
    shown = [""] * len(parts)
    place = 0
    for start, end, character in _characters(b"".join(parts)):
        while ends[place] <= start:
            place += 1
        if ends[place] >= end:
            shown[place] += character
            continue
        holders = [place]
        while ends[holders[-1]] < end:
            place += 1
            holders += [place] if parts[place] else []
        for number, holder in enumerate(holders, start=1):
            shown[holder] += character + _SUBSCRIPTS[number]
    return shown


def _characters(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and display of each character; a byte that is not UTF-8 stands for itself."""
    start = 0
    for character in data.decode("utf-8", "surrogateescape"):
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:
            end, display = start + 1, f"<0x{code - 0xDC00:02X}>"
        else:
            end, display = start + len(character.encode()), _display(character)
        yield start, end, display
        start = end


def _display(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    if character < " ":
        return chr(0x2400 + ord(character))
    return "␣" if character.isspace() else character
