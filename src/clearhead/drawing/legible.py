"""Labels and numbers that are safe to show anywhere: short, with no invisible or control characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Container

from rich.cells import cell_len, set_cell_size

# Control, format (bidirectional marks among them), surrogate, private and unassigned characters; line separators.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

# Variation selectors change the look of the character before them and are invisible themselves.
VARIANTS = range(0xFE00, 0xFE10)

# Token labels show control characters as U+2400 to U+241F and U+2421, which few fonts have.
_PICTURES = {chr(0x2400 + code): f"<0x{code:02X}>" for code in range(32)} | {"␡": "<0x7F>", "\n": "⏎", "\t": "⇥"}


def legible(text: str) -> str:
    """The text with invisible characters spelled out as ``<U+202E>`` and newlines as ⏎."""
    return "".join(_shown(char) for char in text)


def quoted(text: str) -> str:
    """The text, legible and in typographic quotes, for use in a sentence of English or Chinese."""
    return f"“{legible(text)}”"


def spelled(text: str, characters: Container[str]) -> str:
    """The text with these characters spelled out as ``<U+202E>``."""
    return "".join(code_point(char) if char in characters else char for char in text)


def code_point(char: str) -> str:
    """A character's Unicode code point: ``<U+202E>``."""
    return f"<U+{ord(char):04X}>"


def shortened(text: str, cells: int) -> str:
    """Cuts the text to ``cells`` terminal cells (a Chinese character takes two), ending in … if cut."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, cells - 1).rstrip(" ") + "…"


def short(weight: float, digits: int = 2) -> str:
    """A weight with a fixed number of digits, 0.41; <.01 if it is not zero but would read 0.00."""
    least = 10**-digits
    return f"<{least:.{digits}f}".replace("<0.", "<.") if 0 < weight < least / 2 else f"{weight:.{digits}f}"


def scientific(value: float) -> str:
    """One significant digit: 2e-7; 0 for zero."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def _shown(char: str) -> str:
    if char in _PICTURES:
        return _PICTURES[char]
    unseen = unicodedata.category(char) in UNSEEN or ord(char) in VARIANTS
    return code_point(char) if unseen else char
