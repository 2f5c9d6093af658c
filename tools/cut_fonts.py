"""Cuts the Chinese fonts that come with clearhead out of Noto Sans CJK SC.

    python tools/cut_fonts.py FOLDER

FOLDER holds NotoSansCJK-Regular.ttc and NotoSansCJK-Bold.ttc, version 2.004, as Debian's package fonts-noto-cjk has
them. The same input and fonttools give the same bytes. The result has a name of its own: Noto is a trademark, and an
installed Noto Sans CJK SC must not be mistaken for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

FAMILY = "Clearhead Sans SC"
TARGET = Path(__file__).parent.parent / "src" / "clearhead" / "drawing" / "font_files"
FACE = 2  # of the collection: JP, KR, SC, TC, HK

# Punctuation and kana; half-width and full-width forms.
SIGNS = {chr(code) for code in (*range(0x3000, 0x3100), *range(0xFF00, 0xFFF0))}

# Copyright, designers and license stay.
KEPT_NAMES = (0, 8, 9, 10, 11, 12, 13, 14)

# What lays out vertical text and other languages' forms.
UNUSED_TABLES = ("BASE", "DSIG", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx")


def block(encoding: str, first: int, last: int) -> set[str]:
    """Every character of an East Asian encoding whose first byte is in this range."""
    found: set[str] = set()
    for high in range(first, last + 1):
        for low in range(0x40, 0xFF):
            found.update(bytes((high, low)).decode(encoding, errors="ignore"))
    return {char for char in found if ord(char) > 0x7F}


def characters(style: str) -> set[str]:
    """Regular: GB 2312 and the 5,401 frequent characters of Big5. Bold: the 3,755 frequent characters of GB 2312."""
    frequent = SIGNS | block("gb2312", 0xA1, 0xD7)
    return frequent if style == "Bold" else frequent | block("gb2312", 0xD8, 0xF7) | block("big5", 0xA4, 0xC6)


def cut(source: Path, style: str, target: Path) -> None:
    """Writes the part of ``source`` that ``style`` needs, without hints and layout tables."""
    options = subset.Options()
    options.font_number = FACE
    options.hinting = False
    options.layout_features = []
    options.drop_tables += UNUSED_TABLES
    options.name_IDs = list(KEPT_NAMES)
    options.notdef_outline = True
    font = subset.load_font(source, options)
    version = str(font["name"].getDebugName(5)).split(";")[0]
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(characters(style)))
    subsetter.subset(font)
    rename(font, style, version)
    subset.save_font(font, target, options)


def rename(font: TTFont, style: str, version: str) -> None:
    """Gives the font its own name, everywhere a name stands."""
    full, short = f"{FAMILY} {style}", f"{FAMILY.replace(' ', '')}-{style}"
    for number, name in ((1, FAMILY), (2, style), (3, f"{version}; {short}"), (4, full), (5, version), (6, short)):
        font["name"].setName(name, number, 3, 1, 0x409)
    font["name"].setName(f"A part of Noto Sans CJK SC, {version}.", 10, 3, 1, 0x409)
    inside = font["CFF "].cff
    inside.fontNames = [short]
    top = inside.topDictIndex[0]
    top.FullName, top.FamilyName = full, FAMILY
    for part in top.FDArray:
        part.FontName = f"{short}-{part.FontName.rpartition('-')[2]}"


def main() -> None:
    folder = Path(sys.argv[1])
    for style in ("Regular", "Bold"):
        target = TARGET / f"{FAMILY.replace(' ', '')}-{style}.otf"
        cut(folder / f"NotoSansCJK-{style}.ttc", style, target)
        print(f"{target.name}: {len(TTFont(target).getBestCmap() or ()):,} characters, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
