"""Fonts: with one that has the characters, without, and with one installed since matplotlib last looked."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.image import imread

from clearhead.drawing import draw, fonts
from clearhead.errors import MissingExtraError
from looked import looked_at


def font_file(folder: Path, family: str, characters: str) -> str:
    """A font that has a black square for each of the characters."""
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 800), (800, 800), (800, 0)):
        (pen.lineTo if pen.points else pen.moveTo)(point)
    pen.closePath()
    square, names = pen.glyph(), [f"u{ord(char):X}" for char in characters]
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", *names])
    made.setupCharacterMap({ord(char): name for char, name in zip(characters, names, strict=True)})
    made.setupGlyf(dict.fromkeys([".notdef", *names], square))
    made.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": family, "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, usWeightClass=400)
    made.setupPost()
    path = folder / f"{family}.ttf"
    made.save(path)
    return os.fspath(path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A machine that has matplotlib's own fonts, and the files a test puts into this list."""
    manager, files = font_manager.fontManager, list[str]()
    own = [entry for entry in manager.ttflist if "matplotlib" in entry.fname]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    yield files
    manager._findfont_cached.cache_clear()


def test_latin_needs_nothing_else(installed: list[str]):
    assert fonts.families(["I crashed the server. é ß Ω ж", "·⏎⇥␣₁₉…→ "], "x.png") == ["DejaVu Sans"]


def test_without_a_font_the_characters_are_named_and_ways_out(installed: list[str]):
    with pytest.raises(
        MissingExtraError, match=r"x\.png: no installed font has 员 服; .*fonts-noto-cjk.*\.svg or \.html"
    ):
        fonts.families(["服a员", "服"], "x.png")


def test_many_characters_are_named_in_part(installed: list[str]):
    with pytest.raises(MissingExtraError, match=r"no installed font has (. ){20}and 5 others;"):
        fonts.families(["".join(chr(0x4E00 + n) for n in range(25))], "x.png")


def test_a_font_installed_since_the_list_was_made_is_found(installed: list[str], tmp_path: Path):
    installed.append(font_file(tmp_path, "Squares", "服务员"))
    assert fonts.families(["server 服务员"], "x.png") == ["DejaVu Sans", "Squares"]
    installed.clear()
    assert fonts.families(["server 服务员"], "x.png") == ["DejaVu Sans", "Squares"]  # it is listed now


def test_several_fonts_together_and_the_preferred_first(installed: list[str], tmp_path: Path):
    installed += [
        font_file(tmp_path, "Another", "服务员"),
        font_file(tmp_path, "Noto Sans SC", "服务"),
        font_file(tmp_path, "Zebra", "银"),
    ]
    assert fonts.families(["服务"], "x.png") == ["DejaVu Sans", "Noto Sans SC"]
    assert fonts.families(["服务员银"], "x.png") == ["DejaVu Sans", "Noto Sans SC", "Another", "Zebra"]


def test_placeholder_fonts_do_not_count(installed: list[str], tmp_path: Path):
    assert any(entry.name.startswith("Last Resort") for entry in font_manager.fontManager.ttflist)
    installed.append(font_file(tmp_path, "Adobe Blank", "服"))
    with pytest.raises(MissingExtraError):
        fonts.families(["服"], "x.png")


def test_files_that_are_no_fonts_are_passed_over(installed: list[str], tmp_path: Path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    installed += [os.fspath(broken), os.fspath(tmp_path / "gone.ttf"), font_file(tmp_path, "Squares", "服")]
    assert fonts.families(["服"], "x.png") == ["DejaVu Sans", "Squares"]


def test_bold_is_dropped_where_a_font_has_none(installed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture):
    figure = Figure()
    text = figure.text(0.1, 0.1, "bold", weight="bold")
    fonts.dress(figure, "x.png")
    assert text.get_fontweight() == "bold"
    installed.append(font_file(tmp_path, "Squares", "服"))
    other = figure.text(0.1, 0.5, "服", weight="bold")
    fonts.dress(figure, "x.png")
    assert text.get_fontweight() == other.get_fontweight() == "normal"
    assert other.get_fontfamily() == ["DejaVu Sans", "Squares"]
    figure.savefig(tmp_path / "x.png")
    assert not caplog.records


def test_chinese_is_drawn_in_a_font_that_has_it_or_refused(installed: list[str], tmp_path: Path):
    record = looked_at("银行")
    with pytest.raises(MissingExtraError, match=r"x\.png: no installed font has 行 银; "):
        draw(record, tmp_path / "x.png")
    draw(record, tmp_path / "x.svg")  # for the reader's own fonts
    assert "3 银₃" in (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]
    installed.append(font_file(tmp_path, "Squares", "银行"))
    draw(record, tmp_path / "x.png")
    assert imread(tmp_path / "x.png").shape[1] > 2000
