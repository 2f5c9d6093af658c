"""Sweeps and effects in the terminal, as JSON and as pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

import clearhead as ch
from clearhead.drawing import EffectTable, SweepTable
from clearhead.drawing.colours import LESS, MORE, hexed, signed
from clearhead.drawing.sweep_table import grid
from clearhead.errors import OptionError
from clearhead.watching.notation import from_dict
from clearhead.watching.text_record import KEPT
from heads import lively

MODEL = lively("grouped, normed, rotated")
TEXT = "我 see"
SOURCE = ch.observe(MODEL, "see it!", keep=KEPT)


def swept(over: Any, **options: Any) -> ch.analysis.Sweep:
    return ch.sweep(MODEL, TEXT, over, ch.diff("a", "b"), **options)


def shown(table: Any, width: int, colours: Literal["truecolor"] | None = None) -> str:
    console = Console(width=width, record=True, color_system=colours, force_terminal=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert max(map(cell_len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize(
    ("over", "across", "shape"),
    [("heads", "head", (3, 4)), ("parts", "part", (3, 2)), ("places", "place", (4, 8)), ("edges", "key", (3, 8))],
)
def test_the_grid_has_every_change_at_its_layer(over: str, across: str, shape: tuple[int, int]) -> None:
    found = swept(over)
    cells = grid(found)
    assert cells is not None
    assert (cells.across, len(cells.rows), len(cells.columns)) == (across, *shape)
    assert sorted(value for row in cells.values for value in row if value is not None) == sorted(
        entry.change for entry in found.entries
    )
    assert cells.values[1][1] == found.entries[shape[1] + 1].change or over == "parts"
    if across in ("place", "key"):
        assert cells.columns == tuple(found.tokens)


def test_edits_that_are_no_grid_are_only_listed(tmp_path: Path) -> None:
    found = swept([[ch.Ablate(layer=0, head=0), ch.Ablate(layer=1, head=0)], ch.Ablate(layer=2, at=(1, 2))])
    assert grid(found) is None
    text = shown(SweepTable(found), 80)
    assert "ablate 0.0; ablate 1.0" in text
    assert "ablate 2 at 1 2" in text
    ch.draw_sweep(found, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] >= 750


@pytest.mark.parametrize("width", [60, 120])
def test_the_table_lists_the_largest_changes_with_their_values(width: int) -> None:
    found = swept("places", source=SOURCE)
    text = shown(SweepTable(found, 3), width)
    for entry in found.top(3):
        assert f"{entry.change:+.4f}  {entry.value:.4f}" in text
    assert "29 other edits changed it less" in " ".join(text.split())


def test_a_grid_that_does_not_fit_is_left_to_the_picture() -> None:
    text = shown(SweepTable(swept("places"), 3), 30)
    assert "The grid of 8 places does not fit; --out draws it." in " ".join(text.split())


def test_the_legend_names_colours_only_where_they_are_shown() -> None:
    table = SweepTable(swept("heads"), 3)
    assert "Full colour: a change of" in shown(table, 80, "truecolor")
    assert "Full colour" not in shown(table, 80)
    assert "+ more, - less; at most" in shown(table, 80)


def test_colours_of_changes_go_from_less_over_none_to_more() -> None:
    shades = hexed(signed(np.array([-4.0, 0.0, 4.0, 2.0, 9.0]), 4.0))
    assert shades == [LESS[-1], "#ffffff", MORE[-1], MORE[2], MORE[-1]]


def test_the_numbers_can_be_read_back(tmp_path: Path) -> None:
    found = swept("heads")
    ch.draw_sweep(found, tmp_path / "x.json")
    read = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert read["schema"] == "clearhead.sweep/1"
    assert [from_dict(entry["edits"][0]) for entry in read["entries"]] == [entry.edits[0] for entry in found.entries]
    assert [entry["change"] for entry in read["entries"]] == [entry.change for entry in found.entries]
    effect = ch.effect(MODEL, TEXT, ch.Ablate(layer=1), measures=ch.diff("a", "b"))
    ch.draw_effect(effect, tmp_path / "e.json")
    read = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert read["kl"] == effect.kl
    assert read["candidates"][0]["before"] == effect.candidates[0].before


def test_the_effect_has_both_probabilities_of_each_token() -> None:
    found = ch.effect(MODEL, TEXT, ch.Ablate(layer=1), measures=ch.diff("a", "b"))
    text = shown(EffectTable(found), 100)
    for each in found.candidates:
        (line,) = [line for line in text.splitlines() if line.startswith(each.label + " ")]
        assert f"{each.before:.4f}" in line
        assert f"{each.after:.4f}" in line
    assert f"KL(before || after) {found.kl:.4g} nats" in text


def test_the_effect_names_the_text_that_a_patch_takes_from() -> None:
    patch = ch.Patch(layer=1, source=SOURCE, kind="residual")
    assert 'patch 1.residual from "see it!"' in shown(EffectTable(ch.effect(MODEL, TEXT, patch)), 100)
    several = ch.observe(MODEL, ["see it!", "it sees"], keep=KEPT)
    assert "  ablate 1\n" in shown(EffectTable(ch.effect(MODEL, TEXT, ch.Ablate(layer=1, mean=several))), 100)
    unknown = ch.Patch(layer=1, source=ch.observe_ids(MODEL, MODEL.ids("see it!")[0], keep=KEPT), kind="residual")
    assert "patch 1.residual\n" in shown(EffectTable(ch.effect(MODEL, TEXT, unknown)), 100)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_drawn_whole(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    ch.draw_sweep(swept("places", source=SOURCE), path)
    assert path.stat().st_size > 5000
    once = path.read_bytes()
    ch.draw_sweep(swept("places", source=SOURCE), path)
    assert path.read_bytes() == once
    with pytest.raises(OptionError, match=r"'\.gif' is not known"):
        ch.draw_sweep(swept("heads"), tmp_path / "x.gif")
