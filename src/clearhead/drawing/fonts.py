"""Fonts for pictures: every character that is drawn has a glyph, or the picture is refused."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text

from clearhead.errors import MissingExtraError

# Weights as matplotlib states them: numbers or words.
REGULAR, BOLD = ("400", "normal", "regular", "book"), ("600", "700", "bold", "semibold", "demibold")

# Comes with matplotlib itself, so it is always there.
BASE = "DejaVu Sans"

# Fonts that are known to look well, tried first, in this order; after them, any installed font that has the glyphs.
PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK JP",
    "SimHei",
    "Arial Unicode MS",
)

# Fonts that have a box or a blank for every character (matplotlib ships the first).
PLACEHOLDERS = ("Last Resort", ".LastResort", "LastResort", "Adobe Blank", "Unicode BMP Fallback SIL")

# What an SVG asks of the reader's machine.
READER = (BASE, "Verdana", *PREFERRED, "sans-serif")

# How many characters an error message names.
NAMED = 20


def dress(figure: Figure, path: str) -> None:
    """Gives every text of the figure fonts that have its characters; raises as ``families`` does."""
    texts = figure.findobj(Text)
    chosen = families((text.get_text() for text in texts), path)
    bold = _have_bold(chosen)
    for text in texts:
        text.set_fontfamily(chosen)
        if not bold:
            text.set_fontweight("normal")


def families(texts: Iterable[str], path: str) -> list[str]:
    """Font families that together have a glyph for every character of ``texts``, DejaVu Sans first.

    Fonts installed since matplotlib last listed them are found too. Raises MissingExtraError naming the characters
    that no installed font has.
    """
    missing = {char for text in texts for char in text if not char.isspace()}
    missing -= _glyphs(font_manager.findfont(BASE), 0, missing)
    chosen = [BASE]
    _cover(missing, chosen, font_manager.fontManager.ttflist)
    if missing:
        _cover(missing, chosen, _unlisted(missing))
    if missing:
        others = f" and {len(missing) - NAMED} others" if len(missing) > NAMED else ""
        raise MissingExtraError(
            f"{path}: no installed font has {' '.join(sorted(missing)[:NAMED])}{others}; install one (Debian, Ubuntu: "
            "fonts-noto-cjk for Chinese, Japanese and Korean, fonts-symbola for symbols and emoji), or write .svg or "
            ".html, which use the reader's own fonts"
        )
    return chosen


def _cover(missing: set[str], chosen: list[str], entries: Iterable[Any]) -> None:
    """Adds families to ``chosen`` and takes what they have from ``missing``, until nothing is left of either."""
    for entry in _ranked(entries):
        if not missing:
            return
        found = _glyphs(entry.fname, getattr(entry, "index", 0), missing)  # matplotlib 3.10 knows first faces only
        if found and entry.name not in chosen:
            chosen.append(entry.name)
            missing -= found


def _have_bold(chosen: Iterable[str]) -> bool:
    """True when every one of these families has a bold face; matplotlib complains of others on standard error."""
    bold = {entry.name for entry in font_manager.fontManager.ttflist if str(entry.weight) in BOLD}
    return bold.issuperset(chosen)


def _ranked(entries: Iterable[Any]) -> list[Any]:
    """Upright, regular faces, the preferred families first, then by name."""
    regular = [
        entry
        for entry in entries
        if entry.style == "normal" and str(entry.weight) in REGULAR and not entry.name.startswith(PLACEHOLDERS)
    ]
    rank = {name: n for n, name in enumerate(PREFERRED)}
    return sorted(regular, key=lambda entry: (rank.get(entry.name, len(rank)), entry.name, entry.fname))


def _unlisted(missing: set[str]) -> list[Any]:
    """Entries of font files with such glyphs that matplotlib's list, kept from an earlier run, does not know yet."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    before = len(manager.ttflist)
    for path in sorted(font_manager.findSystemFonts()):
        if path not in known and _glyphs(path, 0, missing):
            with suppress(OSError, RuntimeError, ValueError):  # a file whose names or tables matplotlib cannot read
                manager.addfont(path)
    return manager.ttflist[before:]


def _glyphs(path: str, index: int, characters: set[str]) -> set[str]:
    """Those of the characters for which the font has an outline that can be drawn."""
    font = _open(path, index)
    if font is None:
        return set()
    return {char for char in characters if font.get_char_index(ord(char)) and _drawable(font, char)}


def _open(path: str, index: int) -> ft2font.FT2Font | None:
    try:
        return ft2font.FT2Font(path, face_index=index) if index else ft2font.FT2Font(path)
    except (OSError, RuntimeError):  # a file that was removed, or that FreeType cannot read
        return None


def _drawable(font: ft2font.FT2Font, char: str) -> bool:
    """False for glyphs that are bitmaps only, as in colour emoji fonts, which matplotlib cannot draw."""
    try:
        font.load_char(ord(char), ft2font.LoadFlags.NO_BITMAP)
    except RuntimeError:
        return False
    return True
