"""Scripts by their code points: first and last of each range."""

from __future__ import annotations

from collections.abc import Sequence

Ranges = Sequence[tuple[int, int]]

HAN: Ranges = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
KANA: Ranges = ((0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x1B000, 0x1B16F))  # with Bopomofo
HANGUL: Ranges = ((0xAC00, 0xD7A3),)  # syllables

# Written without spaces between words: also Thai and Lao, Burmese, Khmer.
SPACELESS: Ranges = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), *KANA, *HAN)

# Of thousands of characters, three or four bytes each.
LARGE: Ranges = (*KANA, *HAN, *HANGUL)


def within(character: str, ranges: Ranges) -> bool:
    """Whether the character is in one of the ranges."""
    return any(first <= ord(character) <= last for first, last in ranges)


def set_of(ranges: Ranges) -> str:
    """The ranges as a regular expression has them between its square brackets."""
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
