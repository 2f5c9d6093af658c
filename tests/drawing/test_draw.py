"""Pictures: the right colours at the right dots, tokens as text, what is said about what is not drawn, and errors."""

import os
import re
import stat
import sys
from importlib import resources
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text

from clearhead.analysis import observe
from clearhead.attend import FULL, Mask, causal
from clearhead.drawing import draw, figure, panels
from clearhead.drawing.colours import HIDDEN_LIGHT, QUERY_LIGHT, paint
from clearhead.drawing.focus import focus_on
from clearhead.errors import FolderError, MissingExtraError, OptionError
from clearhead.watching import TextRecord
from looked import HEADS, LAYERS, SUNK, THREE, given, looked_at, small, speaking


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def dots(path: Path) -> np.ndarray:
    return (imread(path)[..., :3] * 255).round().astype(int)


def drawn(record: TextRecord, **options: int | str | None) -> Figure:
    focus = focus_on(record, **{"layer": None, "head": None, "query": None, **options})
    return figure.draw(record, focus, figure.captions(record, "runs/book"), lambda done, of: None)


def texts(made: Figure) -> list[str]:
    return [text.get_text() for text in made.findobj(Text) if text.get_text()]


def layout_of(record: TextRecord) -> figure.Layout:
    sites = record.seen()
    labels = figure.captions(record, None).labels["decoder"]
    return figure.Layout.of([str(site.layer) for site in sites], max(map(record.heads, sites)), labels, labels)


def spot(box: panels.Box, row: float, column: float, rows: int, columns: int) -> tuple[int, int]:
    """The dot (y, x) at a place of a box that is divided into rows and columns."""
    left, top, width, height = (panels.whole(side) for side in box)
    return round((top + height * row / rows) * panels.DPI), round((left + width * column / columns) * panels.DPI)


def test_cells_have_the_colours_of_their_weights(tmp_path: Path):
    record = given(*THREE)
    draw(record, tmp_path / "x.png")
    image, layout = dots(tmp_path / "x.png"), layout_of(record)
    expected = paint(np.array([[1, -1, -1], [0.25, 0.75, -1], [0.5, 0.125, 0.375]])).astype(int)
    for row in range(3):
        for column in range(3):
            found = image[spot(layout.matrix, row + 0.25, column + 0.25, 3, 3)]
            assert found.tolist() == expected[row, column].tolist()
            in_grid = image[spot(layout.grid, row + 0.4, column + 0.4, 3, 3)]
            assert in_grid.tolist() == expected[row, column].tolist()
    assert expected[0, 1].tolist() == rgb(HIDDEN_LIGHT)
    y, x = spot(layout.matrix, 2, 1.5, 3, 3)  # the outline of the query's row, the last
    assert rgb(QUERY_LIGHT) in image[y - 4 : y + 5, x].tolist()
    y, x = spot(layout.matrix, 1, 1.5, 3, 3)
    assert rgb(QUERY_LIGHT) not in image[y - 4 : y + 5, x].tolist()


@pytest.mark.parametrize(("mask", "hides"), [(causal(), True), (FULL, False)])
def test_the_colour_of_hidden_keys_is_explained_if_any_is_hidden(mask: Mask, hides: bool):
    record = given([[1.0, 0.0], [0.5, 0.5]], ["a", "b"], mask)
    assert ("hidden from\nthe query" in texts(drawn(record))) == hides


def test_a_visible_zero_is_not_drawn_as_hidden(tmp_path: Path):
    record = given([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]], ["a", "b", "c"])
    draw(record, tmp_path / "x.png")
    image, layout = dots(tmp_path / "x.png"), layout_of(record)
    assert image[spot(layout.matrix, 2.25, 1.25, 3, 3)].tolist() == [255, 255, 255]
    assert image[spot(layout.matrix, 1.25, 2.25, 3, 3)].tolist() == rgb(HIDDEN_LIGHT)


def test_the_same_picture_twice_is_the_same_file(tmp_path: Path):
    for name in ("a.svg", "b.SVG"):
        draw(looked_at("the server"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.SVG").read_bytes()


def test_an_svg_holds_its_text_as_text_for_the_readers_fonts(tmp_path: Path):
    record = given([[1.0, 0.0], [0.25, 0.75]], ["$x_1$ <b>&", "银行"])
    draw(record, tmp_path / "x.svg", model="runs/书")
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    found = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("0 $x_1$ <b>&", "1 银行", "Layer 0, head 0", "0.75", "0.25"):
        assert text in found
    assert any("runs/书" in text for text in found)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "$x_1$ <b>&银行"
    styles = [element.get("style", "") for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all("'DejaVu Sans'" in style and "'Noto Sans CJK SC'" in style for style in styles)
    links = re.findall(r'href="([^"]*)"', (tmp_path / "x.svg").read_text(encoding="utf-8"))
    assert all(link.startswith(("data:image/png", "#")) for link in links)


def test_the_text_says_what_is_seen():
    record = looked_at("a text of 25 bytes, no less")
    found = " ".join(texts(drawn(record, query="bytes")))
    assert "a text of 25 bytes, no less" in found
    assert f"runs/book · {LAYERS} layers, {LAYERS * HEADS} heads · 28 tokens" in found
    far = r"among all heads, the one with the most weight \(\S+\) beyond the first token, the query and"
    assert re.search(far, found)
    assert "the query (18 s)" in found
    assert re.search(r"rows sum to 1 within \de-[78]", found)
    assert "the colour follows its square root, from 0 to 1" in found
    assert "hidden from\nthe query" in found
    assert "is labelled" not in found
    assert "largest of up to" not in found
    assert "the requested head" in " ".join(texts(drawn(record, layer=1, head=2)))
    assert "among the heads of layer 1, the one" in " ".join(texts(drawn(record, layer=1)))


def test_with_a_sink_the_notes_say_that_rows_sum_to_less():
    found = " ".join(texts(drawn(given(*SUNK, sink=1 / 16)))).replace("\n", " ")
    assert (
        "rows sum to at most 1, since part of the weight is on each head's attention sink, which is not a token (0.062"
        in found
    )
    assert re.search(r"with it, in all heads, rows sum to 1 within (0|\de-[78])\.", found)


def test_the_querys_top_keys_are_named_with_their_weights():
    record = given([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.6, 0.001, 0.399]], ["the", "·server", "·crashed"])
    found = texts(drawn(record))
    assert "0 the\n0.600" in found
    assert "2 ·crashed\n0.399" in found
    assert not any(text.startswith("1 ·server\n") for text in found)  # below NAMED
    assert "0.40" in found  # written in its cell


def test_notes_say_what_is_thinned_out_pooled_or_cut():
    record = observe(speaking(context=1200), "x" * 1003)  # 9 inches: 0.645 points a token, a label needs 10
    made = drawn(record, layer=0, head=0)
    found = " ".join(texts(made))
    assert "A cell of the large head shows the largest of up to 3 x 3 weights." in found
    assert re.search(r"A cell of the grid shows the largest of up to \d x \d weights\.", found)
    assert "Every 16th token is labelled; the query's top keys take precedence, the strongest first." in found
    (matrix,) = [axes for axes in made.axes if "1003 x" in [tick.get_text() for tick in axes.get_yticklabels()]]
    places = [int(tick.get_text().split()[0]) for tick in matrix.get_yticklabels()]
    assert len(places) > 40
    assert min(np.diff(places)) >= 16
    assert matrix.images[0].get_array().shape == (450, 450, 3)
    long = given([[1.0, 0.0], [0.5, 0.5]], ["antidisestablishmentarianism", "b"])
    found = texts(drawn(long))
    assert "0 antidisestablishm…" in found
    assert any("end in … are cut" in text for text in found)


@pytest.mark.parametrize(("layers", "heads", "tokens"), [(2, 2, 2), (1, 2, 40), (12, 12, 7), (24, 32, 3), (3, 2, 300)])
def test_nothing_overlaps_whatever_the_size(layers: int, heads: int, tokens: int):
    labels = [f"{place} ·server" for place in range(tokens)]
    layout = figure.Layout.of([str(layer) for layer in range(layers)], heads, labels, labels)
    assert layout.cell * panels.DPI >= 60
    assert layout.grid[0] + layout.grid[2] < layout.matrix[0] - panels.longest(["9 ·server"], layout.label_size)
    assert layout.matrix[0] + layout.matrix[2] < layout.width
    assert layout.matrix[1] + layout.matrix[3] < layout.strip[1]
    assert max(layout.grid[1] + layout.grid[3], layout.strip[1] + layout.strip[3]) < layout.bottom
    step = panels.label_step(tokens, layout.matrix[2], layout.label_size)
    assert layout.label_size * 1.2 <= step * layout.matrix[2] * 72 / tokens


def test_every_head_of_a_large_model_is_in_the_grid(tmp_path: Path):
    record = observe(speaking(layers=24, heads=32), "ab")
    draw(record, tmp_path / "x.png", layer=20, head=30)
    image, layout = dots(tmp_path / "x.png"), layout_of(record)
    for layer, head in ((0, 0), (0, 31), (23, 0), (23, 31), (11, 17)):
        expected = paint(record[layer, head][:].numpy()).astype(int)
        for row, column in ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2)):
            y, x = spot(
                layout.grid, layer + 0.06 + 0.88 * (row + 0.5) / 3, head + 0.06 + 0.88 * (column + 0.5) / 3, 24, 32
            )
            assert image[y, x].tolist() == expected[row, column].tolist()
    y, x = spot(layout.grid, 20, 30.5, 24, 32)
    assert rgb(QUERY_LIGHT) in image[y - 3 : y + 4, x].tolist()


@pytest.mark.parametrize("tokens", [3, 12, 184])
@pytest.mark.parametrize("layers", [1, 2, 6, 12])
def test_flat_grids_use_the_height_beside_the_large_head(layers: int, tokens: int):
    for heads in range(1, 17):
        labels = [f"{place} ·server" for place in range(tokens)]
        layout = figure.Layout.of([str(layer) for layer in range(layers)], heads, labels, labels)
        across = round(layout.grid[2] / layout.cell)
        assert 0 <= across * layout.lines - heads <= 1
        bottom, room = layout.grid[1] + layout.grid[3], layout.matrix[1] + layout.matrix[3]
        assert layout.grid[3] > 0.47 * (room - layout.grid[1])  # with 13 heads and 3 tokens; most reach down to its end
        if layout.cell > 0.42:
            assert bottom < room + 0.05
        assert layout.grid[2] < 8.1  # GRID, in whole dots


def test_heads_of_a_layer_in_several_lines_are_named_above_and_framed(tmp_path: Path):
    record = looked_at("ab", layers=1)
    draw(record, tmp_path / "x.png", layer=0, head=4)
    image, layout = dots(tmp_path / "x.png"), layout_of(record)
    assert (layout.lines, round(layout.grid[2] / layout.cell)) == (2, 3)
    assert {f"0.{head}" for head in range(6)} <= set(texts(drawn(record)))
    line = layout.grid[3] / 2
    for head in range(6):
        expected = paint(record[0, head][:].numpy()).astype(int)
        top = (head // 3 + 1) * line - layout.cell
        for row, column in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)):
            down = top + layout.cell * (0.06 + 0.88 * (row + 0.5) / 3)
            place = spot(layout.grid, down, head % 3 + 0.06 + 0.88 * (column + 0.5) / 3, layout.grid[3], 3)
            assert image[place].tolist() == expected[row, column].tolist()
    y, x = spot(layout.grid, 2 * line - layout.cell, 1.5, layout.grid[3], 3)
    assert rgb(QUERY_LIGHT) in image[y - 3 : y + 4, x].tolist()


def test_a_record_begun_in_the_middle_is_drawn_with_its_own_rows():
    import torch

    from clearhead.watching import watch

    model = small()
    with torch.inference_mode():
        cache = model.state(1, 6)
        model(torch.tensor([[1, 2, 3, 4]]), state=cache)
        with watch(model) as record:
            model(torch.tensor([[5, 6]]), state=cache)
    made = drawn(record.only(), layer=0, head=0, query=4)
    matrix = next(axes for axes in made.axes if axes.get_xlim() == (-0.5, 5.5) and axes.images)
    assert [tick.get_text() for tick in matrix.get_yticklabels()] == ["4 4", "5 5"]
    assert matrix.get_ylim() == (5.5, 3.5)


def test_labels_of_top_keys_are_spread_without_overlap():
    assert panels.spread([5.0], [2.0], 10.0) == [5.0]
    assert panels.spread([5.0, 5.5, 9.9], [2.0, 2.0, 2.0], 10.0) == pytest.approx([5.0, 7.0, 9.0])
    assert panels.spread([0.0, 0.1], [2.0, 4.0], 10.0) == pytest.approx([1.0, 4.0])
    rng = np.random.default_rng(3)
    for _ in range(50):
        wanted, widths = sorted(rng.uniform(0, 8, 5)), list(rng.uniform(0.3, 1.5, 5))
        centres = panels.spread(wanted, widths, 8.0)
        edges = [(centre - wide / 2, centre + wide / 2) for centre, wide in zip(centres, widths, strict=True)]
        assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(edges))
        assert edges[0][0] >= -1e-9
        assert edges[-1][1] <= 8 + 1e-9


def test_where_labels_have_no_room_the_strongest_key_has_its_own():
    weights = {176: 0.018, 178: 0.04, 182: 0.874, 183: 0.068}
    rows = [[1.0] + [0.0] * 183 for _ in range(183)]
    made = drawn(given([*rows, [weights.get(key, 0.0) for key in range(184)]], ["·server"] * 184))
    (matrix,) = [axes for axes in made.axes if "183 ·server" in [tick.get_text() for tick in axes.get_yticklabels()]]
    marked = [tick.get_text() for tick in matrix.get_xticklabels(which="major") if tick.get_color() == QUERY_LIGHT]
    assert marked == ["178 ·server", "182 ·server"]


def test_no_line_to_a_key_meets_a_name_or_another_line():
    places, near = 184, {150: 0.02, 179: 0.2, 180: 0.3, 181: 0.25, 182: 0.23}
    rows = [[1.0] + [0.0] * (places - 1) for _ in range(places - 1)]
    made = drawn(given([*rows, [near.get(key, 0.0) for key in range(places)]], ["·server"] * places))
    names = [text for text in made.findobj(Text) if re.fullmatch(r"\d+ ·server\n0\.\d{3}", text.get_text())]
    assert len(names) == len(near)
    made.canvas.draw()
    boxes = [name.get_window_extent() for name in names]
    lines = [
        line.get_transform().transform(line.get_xydata())
        for line in made.findobj(Line2D)
        if len(line.get_xydata()) == 4 and not line.get_clip_on()
    ]
    assert len(lines) == len(near)
    for line in lines:
        assert line[:, 1].min() > max(box.y1 for box in boxes)
    lines.sort(key=lambda line: line[0, 0])
    assert all((left[:, 0] < right[:, 0]).all() for left, right in pairwise(lines))


def test_settings_are_left_as_they_were_and_pyplot_is_not_used(tmp_path: Path):
    before = dict(mpl.rcParams)
    draw(looked_at("ab"), tmp_path / "x.svg")
    assert dict(mpl.rcParams) == before
    room = Path(str(resources.files("clearhead.drawing")))
    assert not any(re.search(r"import.*pyplot", path.read_text(encoding="utf-8")) for path in room.glob("*.py"))


def test_without_matplotlib_the_extra_is_named_and_pages_are_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for ending in ("png", "svg"):
        with pytest.raises(MissingExtraError, match=r"pip install 'clearhead\[plot\]'"):
            draw(looked_at("ab"), tmp_path / f"x.{ending}")
    for ending in ("html", "json"):
        draw(looked_at("ab"), tmp_path / f"x.{ending}")
        assert (tmp_path / f"x.{ending}").stat().st_size > 1000


def test_what_is_no_record_is_told_where_it_is_drawn(tmp_path: Path):
    record = looked_at("abc")
    for other in (record[0, 1], record.atlas(), "abc"):
        with pytest.raises(OptionError, match=r"draw: .* was given; it draws a record, .* draw_atlas, draw_lens"):
            draw(other, tmp_path / "x.json")  # pyright: ignore[reportArgumentType]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.gif", "x", "x.png.txt", ".png"])
def test_unknown_endings_name_the_known(tmp_path: Path, name: str):
    with pytest.raises(OptionError, match=r"end the name in \.png, \.svg, \.html, \.json"):
        draw(looked_at("ab"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_written_over(tmp_path: Path):
    (tmp_path / "x.png").mkdir()
    with pytest.raises(OptionError, match=r"it is a folder; give a file name ending in \.png"):
        draw(looked_at("ab"), tmp_path / "x.png")


@pytest.mark.parametrize("ending", ["png", "html"])
def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / f"x.{ending}"
    path.write_text("before")

    def fails(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fails)
        with pytest.raises(FolderError, match="No space left on device"):
            draw(looked_at("ab"), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    draw(looked_at("ab"), path)
    assert path.stat().st_size > 1000
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert list(tmp_path.iterdir()) == [path]
