"""The next token's distribution in the terminal, as JSON and as a picture."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from clearhead.analysis import next_words
from clearhead.drawing import NextTable, draw_next
from clearhead.drawing.legible import legible
from clearhead.errors import OptionError
from looked import speaking


def table(width: int, **options: float | bool | None) -> str:
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(NextTable(next_words(speaking(), "I 我", **options)))  # pyright: ignore[reportArgumentType]
    text = console.export_text()
    assert max(map(cell_len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_has_every_token_with_its_probability(width: int):
    text = table(width)
    found = next_words(speaking(), "I 我")
    for line, each in zip(text.splitlines()[1:], found.candidates, strict=False):
        assert line.startswith(legible(each.label))
        assert line.rstrip().endswith(f"{each.probability:.4f}")
    assert "247 other tokens" in text
    assert f"{found.rest:.4f}" in text
    assert "is one byte of a character" in text


def test_settings_and_layers_have_columns_and_lines_of_their_own():
    text = table(100, top_k=3, temperature=0.5, layers=True)
    assert "with temperature 0.5, top_k 3" in text
    assert text.count(" removed") == 8  # seven tokens, and all others
    assert "3 of 257 tokens can come next" in text
    for name in ("embedding", "layer 0", "layer 1"):
        assert f"\n{name}" in text


def test_the_file_has_the_numbers(tmp_path: Path):
    found = next_words(speaking(), "I", layers=True, top_p=0.5)
    draw_next(found, tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert content.pop("schema") == "clearhead.next/1"
    assert [layer["site"] for layer in content["layers"]] == [str(each.site) for each in found.layers]
    expected = json.loads(json.dumps(asdict(found)))
    assert content["candidates"] == expected["candidates"]
    assert content.keys() == expected.keys()


@pytest.mark.parametrize("options", [{}, {"top_k": 2, "layers": True}])
def test_the_picture_is_drawn(tmp_path: Path, options: dict[str, int | bool]):
    draw_next(next_words(speaking(), "我 \u202e", **options), tmp_path / "x.png")  # pyright: ignore[reportArgumentType]
    with Image.open(tmp_path / "x.png") as image:
        assert image.width == (2100 if options else 1050)
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_other_endings_are_refused(tmp_path: Path):
    with pytest.raises(OptionError, match=r"the ending '.html' is not known; end the name in .png, .json"):
        draw_next(next_words(speaking(), "I"), tmp_path / "x.html")
    with pytest.raises(OptionError, match="it is a folder"):
        draw_next(next_words(speaking(), "I"), tmp_path)
