"""Pictures of gradients: they show the numbers, and text from elsewhere is shown as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from clearhead.analysis import Attribution, Baseline
from clearhead.drawing import AttributionTable, draw_attribution
from clearhead.drawing.inline import SWITCH, page_file
from clearhead.errors import OptionError
from clearhead.watching import TokenizedText

FOUND = Attribution(
    tokenized=TokenizedText(tokens=["<|x|>", "你", "·<b>", "$a"], ids=[3, 1, 2, 0], text="你 <b>$a"),
    place=2,
    token_id=0,
    token="$a",
    given=True,
    logprob=-0.5,
    norms=(0.0, 3.0, 1.0, 0.0),
    products=(0.0, -0.25, 0.5, 0.0),
    model="runs/lstm",
)


def test_the_table_has_a_line_for_each_token_that_can_matter() -> None:
    out = StringIO()
    Console(file=out, width=120).print(AttributionTable(FOUND))
    lines = out.getvalue().splitlines()
    assert lines[0] == "runs/lstm: what the next token “$a” depends on (probability 0.607), predicted at place 2 “·<b>”"
    rows = [line.split() for line in lines if line[:2].strip().isdigit() or line[:1].isdigit()]
    assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [
        ("0", "<|x|>", "0.00", "+0.000"),
        ("1", "你", "0.75", "-0.250"),
        ("2", "·<b>", "0.25", "+0.500"),
    ]


def test_the_numbers_are_in_the_json(tmp_path: Path) -> None:
    draw_attribution(FOUND, tmp_path / "x.json")
    table = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (table["schema"], table["place"], table["token"]) == ("clearhead.attribution/1", 2, "$a")
    assert table["norms"] == [0.0, 3.0, 1.0, 0.0]
    assert table["products"] == [0.0, -0.25, 0.5, 0.0]


INTEGRATED = replace(FOUND, baseline=Baseline(name="mean", logprob=-0.75, passes=32, error=-2e-5))


def test_an_integrated_gradient_says_where_it_starts_and_how_far_it_adds_up(tmp_path: Path) -> None:
    out = StringIO()
    Console(file=out, width=120).print(AttributionTable(INTEGRATED))
    shown = " ".join(out.getvalue().split())
    assert "share nats" in shown
    assert "They sum to +0.2500, the change of the log-probability from -0.7500 at the baseline to -0.5000" in shown
    assert "within 2e-05" in shown
    assert "0.33 -0.250" in shown  # a share of the sizes of the products
    draw_attribution(INTEGRATED, tmp_path / "x.json")
    table = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert table["baseline"] == {"name": "mean", "logprob": -0.75, "passes": 32, "error": -2e-5}
    draw_attribution(INTEGRATED, tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "各词元之和为 +0.2500，即对数概率从基线处的 -0.7500 变到 -0.5000 的变化，误差 2e-05" in page


def test_the_page_has_both_languages_and_no_markup_of_the_text(tmp_path: Path) -> None:
    draw_attribution(FOUND, tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [page_file("languages.js")]
    assert SWITCH in page
    for name in ("en", "zh"):
        assert page.count(f'<span lang="{name}">') == 6  # the heading, four columns, the note
    assert "在位置 2（“·&lt;b&gt;”）预测下一个词元“$a”（概率 0.607），依据的是什么" in page
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "0.7500" in page
    assert "default-src 'none'" in page


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    draw_attribution(FOUND, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"the ending '.svg' is not known; end the name in \.png, \.html, \.json"):
        draw_attribution(FOUND, tmp_path / "x.svg")
