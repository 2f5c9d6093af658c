"""Fonts: the package's own, installed ones, and what is drawn if none has a character."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from clearhead.drawing import draw, figure, fonts
from clearhead.drawing.focus import focus_on
from looked import looked_at

PACKAGE = Path(str(resources.files("clearhead")))
ROOT = Path(__file__).parents[2]
DEJAVU, SHIPPED = "DejaVu Sans", "Clearhead Sans SC"

# In neither of the two: Hangul, a rare character, and one beyond the first plane.
HANGUL, RARE, BEYOND = "한국어", "龘", "\U00020000"


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


def dressed(*texts: str, weight: str = "normal") -> list[Text]:
    made = Figure()
    placed = [made.text(0.1, 0.1, text, weight=weight) for text in texts]
    fonts.dress(made)
    return placed


def families(text: str) -> list[str]:
    return dressed(text)[0].get_fontfamily()


def characters(*folders: Path) -> set[str]:
    """Every visible character that stands in the files."""
    files = [path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))]
    read = [path.read_text(encoding="utf-8") for path in files if path.is_file() and path.suffix != ".pyc"]
    return {char for char in set().union(*read) if char.isprintable()}


def hanzi(first: int, last: int) -> set[str]:
    """The characters of these rows of GB 2312: 16 to 55 are the frequent ones, 56 to 87 the others."""
    codes = [bytes((row + 0xA0, cell + 0xA0)) for row in range(first, last + 1) for cell in range(1, 95)]
    return set("".join(code.decode("gb2312", errors="ignore") for code in codes))


def shipped(style: str) -> set[str]:
    file = TTFont(PACKAGE / "drawing" / "font_files" / f"ClearheadSansSC-{style}.otf")
    return {chr(code) for code in file.getBestCmap()}


def test_what_ships_has_every_character_of_gb_2312_and_the_frequent_ones_in_bold():
    frequent, others = hanzi(16, 55), hanzi(56, 87)
    assert (len(frequent), len(others)) == (3755, 3008)
    assert frequent | others | set("「」、。，！？：；（）《》～あいうアイウー") <= shipped("Regular")
    assert frequent | set("「」、。，！？：；（）《》～あいうアイウー") <= shipped("Bold")
    assert set("國書龍體廣東臺灣學習") <= shipped("Regular")


def test_every_character_of_the_corpora_the_page_and_the_chinese_docs_has_a_glyph_in_what_ships(installed: list[str]):
    written = characters(PACKAGE / "corpora", PACKAGE / "drawing" / "page_files")
    written |= characters(ROOT / "README.zh-CN.md", *ROOT.glob("docs/*.zh-CN.md"))
    assert len(written) > 1500
    assert fonts.lacking(written) == set()


def test_latin_needs_dejavu_alone_and_chinese_what_ships(installed: list[str]):
    assert families("I crashed the server. é ß Ω ж ·⏎⇥␣₁₉…→ ") == [DEJAVU]
    assert families("国王\u3000向王后") == [DEJAVU, SHIPPED]


def test_what_ships_comes_before_installed_fonts(installed: list[str], tmp_path: Path):
    installed.append(font_file(tmp_path, "Noto Sans CJK SC", "国" + HANGUL))
    assert families("国" + HANGUL) == [DEJAVU, SHIPPED, "Noto Sans CJK SC"]
    assert families("国") == [DEJAVU, SHIPPED]


def test_a_font_installed_since_the_list_was_made_is_found(installed: list[str], tmp_path: Path):
    assert fonts.lacking(["server " + HANGUL]) == set(HANGUL)
    installed.append(font_file(tmp_path, "Squares", HANGUL))
    assert fonts.lacking(["server " + HANGUL]) == set()
    installed.clear()
    assert families("server " + HANGUL) == [DEJAVU, "Squares"]  # it is listed now


def test_several_fonts_together_and_the_preferred_first(installed: list[str], tmp_path: Path):
    installed += [
        font_file(tmp_path, "Another", HANGUL),
        font_file(tmp_path, "Noto Sans SC", HANGUL[:2]),
        font_file(tmp_path, "Zebra", RARE),
    ]
    assert families(HANGUL[:2]) == [DEJAVU, "Noto Sans SC"]
    assert families(HANGUL + RARE) == [DEJAVU, "Noto Sans SC", "Another", "Zebra"]


def test_placeholder_fonts_do_not_count(installed: list[str], tmp_path: Path):
    assert any(entry.name.startswith("Last Resort") for entry in font_manager.fontManager.ttflist)
    installed.append(font_file(tmp_path, "Adobe Blank", RARE))
    assert fonts.lacking([RARE]) == {RARE}


def test_files_that_are_no_fonts_are_passed_over(installed: list[str], tmp_path: Path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    installed += [os.fspath(broken), os.fspath(tmp_path / "gone.ttf"), font_file(tmp_path, "Squares", RARE)]
    assert families(RARE) == [DEJAVU, "Squares"]


def test_a_text_is_bold_where_its_fonts_have_it_in_bold(
    installed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    installed.append(font_file(tmp_path, "Squares", HANGUL))
    rare = min(hanzi(56, 87) - shipped("Bold"))
    texts = dressed("bold", "国王 king", "國", rare, HANGUL, weight="bold")
    assert [text.get_fontweight() for text in texts] == ["bold", "bold", "normal", "normal", "normal"]
    texts[0].get_figure().savefig(tmp_path / "x.png")  # a warning of a missing glyph would be an error
    assert not caplog.records  # matplotlib logs where it has no such weight


def test_bold_chinese_has_more_ink(installed: list[str], tmp_path: Path):
    ink: list[float] = []
    for weight in ("normal", "bold"):
        made = Figure(figsize=(3, 1))
        made.text(0.1, 0.4, "国王向王后", weight=weight, size=20)
        fonts.dress(made)
        made.savefig(tmp_path / "x.png")
        ink.append(float(np.sum(1 - imread(tmp_path / "x.png")[..., 0])))
    assert ink[1] > 1.2 * ink[0]


def test_a_character_that_no_font_has_is_drawn_as_its_code_point_and_the_picture_says_so(installed: list[str]):
    record = looked_at(f"a{RARE}")
    words = figure.captions(record, RARE).without({RARE})
    made = figure.draw(record, focus_on(record, layer=None, head=None, query=None), words, lambda done, of: None)
    texts = [text.get_text() for text in made.findobj(Text)]
    assert "a<U+9F98>" in texts
    assert "4 <U+9F98>₃" in texts
    assert any(text.startswith("<U+9F98> · 2 layers") for text in texts)
    assert "Code points such as <U+9F98> stand for characters that no font here has." in texts
    assert not any(RARE in text for text in texts)


def test_drawing_notes_the_characters_that_no_font_has(
    installed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", logger="clearhead")
    record = looked_at(f"国{RARE}{BEYOND}")
    draw(record, tmp_path / "x.png")
    assert imread(tmp_path / "x.png").shape[1] > 2000
    (message,) = caplog.messages
    assert message.endswith(
        "x.png: no font here has 2 characters (<U+9F98>, <U+20000>), so code points are drawn; "
        ".svg and .html use the reader's own fonts"
    )
    caplog.clear()
    draw(record, tmp_path / "x.svg")
    assert f"{BEYOND}₄" in (tmp_path / "x.svg").read_text(encoding="utf-8")
    installed.append(font_file(tmp_path, "Squares", RARE + BEYOND))
    draw(record, tmp_path / "x.png")
    assert not caplog.messages


def test_many_such_characters_are_named_in_part(installed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="clearhead")
    draw(looked_at("".join(chr(0xAC00 + n) for n in range(25))), tmp_path / "x.png")
    assert "no font here has 25 characters (<U+AC00>, <U+AC01>," in caplog.text
    assert "<U+AC13> and 5 others)" in caplog.text


ALONE = """
import sys
import matplotlib
from matplotlib import font_manager

sys.path.insert(0, sys.argv[1])
font_manager.findSystemFonts = lambda *rest, **options: []
listed = font_manager.fontManager.ttflist
listed[:] = [entry for entry in listed if entry.fname.startswith(matplotlib.get_data_path())]

from looked import looked_at
from clearhead.drawing import draw

draw(looked_at("银行，𠀀。"), sys.argv[2])
"""


def test_chinese_is_drawn_by_a_process_that_has_no_system_fonts(tmp_path: Path):
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>", encoding="utf-8")
    environment = os.environ | {
        "FONTCONFIG_FILE": os.fspath(tmp_path / "fonts.conf"),
        "FONTCONFIG_PATH": os.fspath(tmp_path),
        "HOME": os.fspath(tmp_path),
        "MPLCONFIGDIR": os.fspath(tmp_path / "matplotlib"),
    }
    tests, picture = Path(__file__).parents[1], tmp_path / "x.png"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, tests, picture], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr  # a warning of a missing glyph would be an error
    assert imread(picture).shape[1] > 2000


def test_the_fonts_and_their_license_come_with_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["clearhead"]
    taken = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    folder = PACKAGE / "drawing" / "font_files"
    assert {path.name for path in folder.iterdir()} == {
        "ClearheadSansSC-Regular.otf", "ClearheadSansSC-Bold.otf", "OFL.txt",
    }  # fmt: skip
    assert set(folder.iterdir()) <= taken
    assert folder / "OFL.txt" in {ROOT / name for name in settings["project"]["license-files"]}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3.1e6
