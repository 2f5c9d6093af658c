"""Labels and numbers that can be shown anywhere: short, nothing invisible, nothing that moves what stands beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Container

from rich.cells import cell_len, set_cell_size

# Control, format (bidirectional marks among them), surrogate, private and unassigned characters; line separators.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

# They say how the character before them is to look, and have no look of their own.
VARIANTS = range(0xFE00, 0xFE10)

# Labels show control characters as their pictures, U+2400 to U+241F and U+2421, which few fonts have.
_PICTURES = {chr(0x2400 + code): f"<0x{code:02X}>" for code in range(32)} | {"␡": "<0x7F>", "\n": "⏎", "\t": "⇥"}


def legible(text: str) -> str:
    """The text with every character that has no shape of its own written out: ``<U+202E>``; newline as ⏎."""
    return "".join(_shown(char) for char in text)


def spelled(text: str, characters: Container[str]) -> str:
    """The text with these characters written out: ``<U+202E>``."""
    return "".join(code_point(char) if char in characters else char for char in text)


def code_point(char: str) -> str:
    """The number of a character in Unicode: ``<U+202E>``."""
    return f"<U+{ord(char):04X}>"


def shortened(text: str, cells: int) -> str:
    """The text cut to so many terminal cells (a Chinese character takes two), ending in … when it was cut."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, cells - 1).rstrip(" ") + "…"


def short(weight: float, digits: int = 2) -> str:
    """A weight with a fixed number of digits, 0.41; <.01 where that would read 0.00 and is not zero."""
    least = 10**-digits
    return f"<{least:.{digits}f}".replace("<0.", "<.") if 0 < weight < least / 2 else f"{weight:.{digits}f}"


def scientific(value: float) -> str:
    """One digit and its power of ten: 2e-7; 0 for zero."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def _shown(char: str) -> str:
    if char in _PICTURES:
        return _PICTURES[char]
    unseen = unicodedata.category(char) in UNSEEN or ord(char) in VARIANTS
    return code_point(char) if unseen else char
