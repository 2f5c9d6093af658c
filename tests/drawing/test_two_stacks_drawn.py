"""Pictures of an encoder's and a decoder's attention: each map with its own shape, and its own tokens on each axis."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from rich.console import Console
from test_page import array, asked, written

from clearhead.drawing import draw, draw_atlas, embed, figure, table_of_attention
from clearhead.drawing.focus import focus_on, head_name, matching
from clearhead.drawing.row import read
from clearhead.errors import OptionError
from two_stacks import CROSS, OWN, READ, READS, SOURCE, TARGET, one

FROM = [f"{place} {token}" for place, token in enumerate(SOURCE)]
TO = [f"{place} {token}" for place, token in enumerate(TARGET)]


def drawn(record, **options) -> Figure:
    focus = focus_on(record, **{"layer": None, "head": None, "query": None, **options})
    return figure.draw(record, focus, figure.captions(record, "m"), lambda done, of: None)


def ticks(made: Figure) -> list[tuple[list[str], list[str]]]:
    """Labels of the vertical and the horizontal axis of each part that has both."""
    found: list[tuple[list[str], list[str]]] = []
    for axes in made.axes:
        down, across = ([tick.get_text() for tick in of()] for of in (axes.get_yticklabels, axes.get_xticklabels))
        if down and across:
            found.append((down, across))
    return found


def test_the_large_head_has_the_queries_tokens_beside_it_and_the_keys_above() -> None:
    made = drawn(one())
    assert (TO, FROM) in ticks(made)
    found = [text.get_text() for text in made.findobj(Text)]
    for text in (
        "decoder.0.cross, head 0",
        "the red cat sat → le chat",
        "m · 2 layers, 6 heads · 5 tokens and 3 tokens",
    ):
        assert text in found
    assert (["encoder.0", "decoder.0", "decoder.0.cross"], ["0", "1"]) in ticks(made)
    assert (FROM, FROM) in ticks(drawn(one().of("encoder")))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_files_of_every_stack(tmp_path: Path, ending: str) -> None:
    for name, record in (("whole", one()), ("read", one().of("encoder")), ("own", one().of("decoder"))):
        draw(record, tmp_path / f"{name}.{ending}")
        draw_atlas(record.atlas(), tmp_path / f"{name}-atlas.{ending}")
    for path in tmp_path.iterdir():
        if ending == "png":
            assert imread(path).std() > 0.05  # not one colour
        else:
            assert len(list(ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}path"))) > 20


def test_the_query_is_a_word_of_the_decoders_text_unless_the_encoders_part_is_drawn() -> None:
    record = one()
    focus = focus_on(record, layer=None, head=None, query="chat")
    assert (focus.site, focus.head, focus.row) == (CROSS, 0, 2)
    assert focus.far == pytest.approx(0.9)  # all but the first token and the special one at the end
    assert {site for site, _ in matching(record, layer=0, head=1)} == {OWN, CROSS}
    assert focus_on(record.of("encoder"), layer=None, head=0, query="cat").row == 2
    with pytest.raises(OptionError, match="query 'cat': the text has no such word"):
        focus_on(record, layer=None, head=None, query="cat")
    assert [head_name(record, site, 1) for site in (READ, CROSS)] == ["encoder.0, head 1", "decoder.0.cross, head 1"]
    assert head_name(record.of("encoder"), READ, 1) == "layer 0, head 1"


def test_a_row_of_another_text_has_no_distance() -> None:
    row = read(one(), CROSS, 0, 2, 2)
    assert (row.keys, row.previous, row.distance) == ((2, 1), None, None)
    assert row.first == pytest.approx(0.05)


def test_the_table_names_the_tokens_that_are_read() -> None:
    console = Console(width=100, record=True, color_system=None, file=io.StringIO())
    console.print(table_of_attention(one(), "chat"))
    lines = console.export_text().splitlines()
    assert lines[:4] == [
        "what place 2 “·chat” attends to, of 3 tokens",
        "0 <s>  1 le  2 ·chat",
        "encoder:",
        "0 the  1 ·red  2 ·cat  3 ·sat  4 </s>",
    ]
    (line,) = [line for line in lines if line.startswith("decoder.0.cross.0")]
    assert line.split()[1:3] == ["2", "·cat"]
    assert line.split()[-3:] == ["0.05", "-", "-"]


def test_json_has_both_texts_and_every_map(tmp_path: Path) -> None:
    draw(one(), tmp_path / "x.json")
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (found["text"], found["tokens"]) == ("le chat", TARGET)
    assert found["source"] == {"text": "the red cat sat", "tokens": SOURCE, "ids": [7, 8, 9, 10, 11]}
    shapes = {head["site"]: np.array(head["weights"]).shape for head in found["heads"]}
    assert shapes == {"encoder.0.self": (5, 5), "decoder.0.self": (3, 3), "decoder.0.cross": (3, 5)}
    np.testing.assert_allclose(found["heads"][4]["weights"], READS, atol=1e-6)
    draw(one().of("encoder"), tmp_path / "y.json")
    assert json.loads((tmp_path / "y.json").read_text(encoding="utf-8"))["source"] is None


@pytest.mark.parametrize("full", [True, False])
def test_the_page_reads_each_map_with_its_own_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    if not full:
        monkeypatch.setattr(embed, "FULL", 10)
    parts, data = written(one(), tmp_path / "x.html")
    assert data["texts"] == {"encoder": SOURCE, "decoder": TARGET}
    assert {name: site["shape"] for name, site in data["sites"].items()} == {
        "encoder.0.self": [5, 5],
        "decoder.0.self": [3, 3],
        "decoder.0.cross": [3, 5],
    }
    if full:
        weights = array(data["heads"][4]["weights"], "<f4", 3, 5)
        np.testing.assert_allclose(weights, READS, atol=1e-6)
    question = """[heads[4].top(2, 2), heads[4].within, label(heads[4].own, 2), label(heads[4].read, 4),
        placeOf(-1, heads[0]), placeOf(-1, heads[4]), placeOf(3, heads[4]), heads[0].top(4, 1).length]"""
    top, within, query, key, last, last_own, outside, count = asked(parts.text("script", id="data"), question)
    assert [one["key"] for one in top] == [2, 1]
    assert [one["weight"] for one in top] == pytest.approx([0.7, 0.15])
    assert (within, query, key) == (False, "2 ·chat", "4 </s>")
    assert (last, last_own, outside, count) == (4, 2, None, 1)
    name = asked(parts.text("script", id="data"), "[words.head(data.sites['decoder.0.cross'].name, 1)]")
    assert name == ["decoder.0.cross，第 1 头"]
