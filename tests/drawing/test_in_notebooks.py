"""What notebooks show: pages in frames, tables with their colours, and text that stays text."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_page import HOSTILE

import clearhead as ch
from clearhead.analysis import lens, logit_parts, next_words, nll, observe, sweep
from clearhead.drawing import draw, draw_lens, in_notebooks
from clearhead.drawing.colours import hexed, paint
from clearhead.drawing.in_notebooks import html_of
from clearhead.drawing.map_view import SIDE
from clearhead.watching import AttentionMap, Record, TextRecord
from looked import HEADS, LAYERS, speaking
from two_stacks import CROSS, one

TEXT = "a cat saw a cat"


class Elements(HTMLParser):
    """The elements of some HTML, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def html(value: object) -> str:
    found = value._repr_html_()  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(found, str)
    return found


def frame(value: object) -> dict[str, str | None]:
    ((tag, has),) = Elements(html(value)).found
    assert tag == "iframe"
    assert has["sandbox"] == "allow-scripts"  # nothing of the notebook is within its reach
    return has


def test_a_record_is_the_page_that_draw_writes(tmp_path: Path) -> None:
    record = observe(speaking(), TEXT)
    draw(record, tmp_path / "x.html")
    assert frame(record)["srcdoc"] == (tmp_path / "x.html").read_text(encoding="utf-8")
    assert html(record.record) == html(record)  # a record of one text


def test_a_lens_is_the_page_that_draw_lens_writes(tmp_path: Path) -> None:
    found = lens(speaking(), TEXT)
    draw_lens(found, tmp_path / "x.html")
    assert frame(found)["srcdoc"] == (tmp_path / "x.html").read_text(encoding="utf-8")


def test_of_a_long_text_a_table_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    record, found = observe(speaking(), TEXT), lens(speaking(), TEXT)
    monkeypatch.setattr(in_notebooks, "WEIGHTS", len(record.tokens) ** 2 * LAYERS * HEADS - 1)
    monkeypatch.setattr(in_notebooks, "CELLS", 3)
    for value in (record, found):
        assert {tag for tag, _ in Elements(html(value)).found} <= {"pre", "span", "p", "code"}
    assert "Too long for a page in a notebook" in html(record)
    monkeypatch.setattr(in_notebooks, "WEIGHTS", len(record.tokens) ** 2 * LAYERS * HEADS)
    assert frame(record)


def test_a_record_of_several_texts_lists_them() -> None:
    shown = Elements(html(observe(speaking(), [TEXT, "no <b>"])))
    assert [tag for tag, _ in shown.found] == ["p", "code", "ol", "li", "li"]
    assert "no <b>" in shown.text


def test_a_record_of_two_stacks_has_a_page() -> None:
    assert "srcdoc" in frame(one())


def cells(drawn: str) -> dict[str, tuple[str, float]]:
    """The colour and the number of each cell, by its query and key."""
    rects = re.findall(
        r'<rect x="[0-9]+" y="[0-9]+" [^>]* fill="(#[0-9a-f]{6})"><title>(.*) (.*?)</title></rect>', drawn
    )
    return {unescape(name).rstrip(" ≤"): (fill, float(weight)) for fill, name, weight in rects}


def test_a_map_is_a_picture_of_its_weights() -> None:
    """Each cell under the names of its tokens, in the colour that weights have everywhere."""
    record = observe(speaking(), TEXT)
    a = record[0, 1]
    assert isinstance(a, AttentionMap)
    found, seen = cells(html(a)), 0
    for query, one_token in enumerate(record.tokens):
        for key, other in enumerate(record.tokens[: query + 1]):
            fill, weight = found[f"{query} {one_token} → {key} {other}:"]
            assert weight == pytest.approx(float(a[query, key]), abs=5e-5)  # four digits
            (colour,) = hexed(paint(a[query, key : key + 1].numpy()))
            assert fill == colour
            seen += 1
    assert len(found) == seen
    tags = {tag for tag, _ in Elements(html(a)).found}
    assert tags == {"svg", "rect", "text", "title", "g"}


def test_of_a_long_map_a_cell_has_the_largest_weight_it_covers() -> None:
    record = observe(speaking(), "a cat saw a cat " * 6)
    a = record[1, 0]
    assert isinstance(a, AttentionMap)
    T = a.shape[0]
    assert SIDE < T < 4 * SIDE
    found = cells(html(a))
    assert len({name.split(" → ")[0] for name in found}) == SIDE
    whole = a[:, :]
    for name, (_, weight) in found.items():
        rows, columns = (
            [int(n) for n in re.match(r"(\d+)(?:-(\d+))?", side).groups() if n] for side in name.split(" → ")
        )  # type: ignore[union-attr]
        covered = whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert weight == pytest.approx(float(covered.max()), abs=5e-5), name


def test_the_tokens_of_a_map_stay_text() -> None:
    a = observe(speaking(), "<script>'\"</svg>\x1b\u202e")[0, 0]
    shown = Elements(html(a))
    assert {tag for tag, _ in shown.found} == {"svg", "rect", "text", "title", "g"}
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", shown.text)
    assert not any(name.startswith("on") for _, has in shown.found for name in has)


def test_a_map_between_two_texts_names_both() -> None:
    drawn = html(one().map(CROSS, 0))
    assert "layer 0.cross, head 0" in drawn
    assert cells(drawn)["2 ·chat → 2 ·cat:"][1] == pytest.approx(0.7)


def test_an_empty_record_says_so() -> None:
    shown = Elements(html(Record({}, maps=False)))
    assert shown.text == "Record(nothing seen)"


@pytest.mark.parametrize("what", ["sweep", "parts", "next", "atlas"])
def test_text_stays_text(what: str) -> None:
    model, text = speaking(context=400), HOSTILE + " \x1b[31m\u202e"
    found = {
        "sweep": lambda: sweep(model, text, "parts", nll),
        "parts": lambda: logit_parts(model, text, token=65),
        "next": lambda: next_words(model, text),
        "atlas": lambda: observe(model, text).atlas(),
    }[what]()
    shown = Elements(html(found))
    assert {tag for tag, _ in shown.found} <= {"pre", "span", "table", "thead", "tbody", "tr", "th", "td"}
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", shown.text)
    assert not any(name.startswith("on") for _, has in shown.found for name in has)


def test_a_table_is_what_the_terminal_shows() -> None:
    found = sweep(speaking(), TEXT, "heads", nll)
    shown = Elements(html(found)).text
    assert found.top(1)[0].name in shown
    assert f"{found.base:.4f} without edits" in shown


def test_other_values_are_left_to_the_notebook() -> None:
    assert html_of(7) is None


def test_importing_the_package_is_enough() -> None:
    """Whoever takes a record from the public face has its picture too."""
    program = (
        "import clearhead as ch; ch.Record; from clearhead.notebook import html_of; print(html_of.registry.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "TextRecord" in done.stdout
    assert isinstance(ch.observe(speaking(), TEXT), TextRecord)
