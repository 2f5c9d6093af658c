"""Fonts for pictures: DejaVu Sans, the Chinese font in this package, then installed fonts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

# matplotlib's spellings of font weights. It warns if a bold font has any other.
REGULAR, BOLD = ("400", "normal", "regular", "book"), ("700", "bold")

# Ships with matplotlib, so it is always there.
BASE = "DejaVu Sans"

# Ships with this package; tools/cut_fonts.py lists its characters. It comes before installed fonts, so that pictures
# look the same on every machine.
OWN, FILES = "Clearhead Sans SC", Path(__file__).with_name("font_files")

# Installed fonts that are known to look good, tried in this order before all others.
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

# Fonts an SVG asks for on the reader's machine.
READER = (BASE, "Verdana", *PREFERRED, "sans-serif")


def lacking(texts: Iterable[str]) -> set[str]:
    """The characters of ``texts`` that no font has. Fonts installed since matplotlib last listed them count too."""
    characters = _characters(texts)
    return characters - _families(characters).keys()


def dress(figure: Figure) -> None:
    """Gives each text of the figure fonts that have its characters; bold text stays bold if they have it in bold."""
    texts = figure.findobj(Text)
    families = _families(_characters(text.get_text() for text in texts))
    bold = _bold(families)
    for text in texts:
        characters = _characters([text.get_text()])
        used = {BASE, *(families[char] for char in characters if char in families)}
        text.set_fontfamily([family for family in dict.fromkeys((BASE, *families.values())) if family in used])
        if not characters <= bold:
            text.set_fontweight("normal")


def _characters(texts: Iterable[str]) -> set[str]:
    return set().union(*texts) - {"\n"}


def _families(characters: set[str]) -> dict[str, str]:
    """The first family that has each character, in the order they are tried."""
    families: dict[str, str] = {}
    missing = set(characters)
    manager = font_manager.fontManager
    if all(entry.name != OWN for entry in manager.ttflist):
        for path in FILES.glob("*.otf"):
            manager.addfont(path)
    _cover(missing, families, manager.ttflist)
    if missing:
        _cover(missing, families, _unlisted(missing))
    return families


def _cover(missing: set[str], families: dict[str, str], entries: Iterable[Any]) -> None:
    """Moves characters from ``missing`` to ``families`` until no characters or no fonts are left."""
    tried = set(families.values())
    for entry in _ranked(entries):
        if not missing:
            return
        family: str = entry.name
        if family not in tried:  # matplotlib uses one regular face per family
            found = _glyphs(entry.fname, getattr(entry, "index", 0), missing)  # matplotlib 3.10 has first faces only
            families |= dict.fromkeys(found, family)
            missing -= found
            tried |= {family} if found else set()


def _bold(families: dict[str, str]) -> set[str]:
    """The characters that their family has in bold."""
    bold: set[str] = set()
    for family in set(families.values()):
        entries = font_manager.fontManager.ttflist
        if any(entry.name == family and str(entry.weight) in BOLD for entry in entries):
            path = font_manager.findfont(FontProperties(family=[family], weight="bold"))
            characters = {char for char, its in families.items() if its == family}
            bold |= _glyphs(path, getattr(path, "face_index", 0), characters)
    return bold


def _ranked(entries: Iterable[Any]) -> list[Any]:
    """Upright, regular faces: DejaVu Sans, the package's own, the preferred families, then by name."""
    regular = [
        entry
        for entry in entries
        if entry.style == "normal" and str(entry.weight) in REGULAR and not entry.name.startswith(PLACEHOLDERS)
    ]
    rank = {name: n for n, name in enumerate((BASE, OWN, *PREFERRED))}
    return sorted(
        regular, key=lambda entry: (rank.get(entry.name, len(rank)), entry.name, entry.stretch != "normal", entry.fname)
    )


def _unlisted(missing: set[str]) -> list[Any]:
    """Font files that have missing characters but are not yet in matplotlib's cached list; adds them to the list."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    before = len(manager.ttflist)
    for path in sorted(font_manager.findSystemFonts()):
        if path not in known and _glyphs(path, 0, missing):
            with suppress(OSError, RuntimeError, ValueError):  # a font file matplotlib cannot read
                manager.addfont(path)
    return manager.ttflist[before:]


def _glyphs(path: str, index: int, characters: set[str]) -> set[str]:
    """The characters for which the font has an outline."""
    font = _open(path, index)
    if font is None:
        return set()
    return {char for char in characters if font.get_char_index(ord(char)) and _drawable(font, char)}


def _open(path: str, index: int) -> ft2font.FT2Font | None:
    try:
        return ft2font.FT2Font(path, face_index=index) if index else ft2font.FT2Font(path)
    except (OSError, RuntimeError):  # removed, or unreadable for FreeType
        return None


def _drawable(font: ft2font.FT2Font, char: str) -> bool:
    """False for bitmap-only glyphs, as in colour emoji fonts; matplotlib cannot draw them."""
    try:
        font.load_char(ord(char), ft2font.LoadFlags.NO_BITMAP)
    except RuntimeError:
        return False
    return True
