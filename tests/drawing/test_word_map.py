"""Maps of words in files: whole, escaped, every word there, labels that do not overlap."""

import logging
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from clearhead.analysis.lexicon import Panel, WordMap
from clearhead.drawing import draw_words
from clearhead.drawing.inline import SWITCH, page_file
from clearhead.drawing.word_map import LABEL, MARGIN, SIDE, labelled, laid
from clearhead.errors import OptionError

WORDS = ("king", "queen", "国王", "女王", "<b>&", "$x$")


def made(words: tuple[str, ...] = WORDS, groups: int = 2) -> WordMap:
    places_N2 = np.random.default_rng(0).normal(size=(len(words), 2))
    panels = (
        Panel(method="PCA", places_N2=places_N2, figure=0.25),
        Panel(method="t-SNE", places_N2=places_N2, figure=5.0),
    )
    named = tuple(f"group {n % groups}" for n in range(len(words)))
    return WordMap(title="runs/x, input <table>", words=words, groups=named, lines=((0, 1), (2, 3)), panels=panels)


def test_a_page_holds_every_word_and_runs_nothing_of_the_text(tmp_path: Path):
    draw_words(made(), tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert SWITCH in page
    assert scripts(page) == [page_file("languages.js")]
    assert "25% of the variance lies in these two directions" in page
    assert "这两个方向占全部方差的 25%" in page
    assert "input &lt;table&gt;" in page
    drawings = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL)]
    assert [[text.text for text in each.iter("text")] for each in drawings] == [sorted_by_label(made())] * 2
    assert all(len(list(each.iter("line"))) == 2 for each in drawings)
    assert page.rstrip().endswith("</html>")


def scripts(page: str) -> list[str]:
    return re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)


def sorted_by_label(drawn: WordMap) -> list[str]:
    shown = labelled(laid(drawn.panels[0]), drawn.words)
    return [word for n, word in enumerate(drawn.words) if n not in shown] + [drawn.words[n] for n in shown]


def test_a_picture_is_whole_and_has_the_chinese_characters(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        draw_words(made(), tmp_path / "map.png")
    assert caplog.text == ""  # every character has a font
    height, width = matplotlib.image.imread(tmp_path / "map.png").shape[:2]
    assert width > 1.5 * height > 1000


def test_a_picture_with_many_groups_tells_them_apart(tmp_path: Path):
    words = tuple(f"w{n}" for n in range(60))
    draw_words(made(words, groups=14), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_words_keep_their_directions_and_stay_inside():
    panel = Panel(method="PCA", places_N2=np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), figure=1.0)
    places_N2 = laid(panel)
    assert places_N2.min() >= MARGIN
    assert places_N2.max() <= SIDE - MARGIN
    assert places_N2[1, 0] - places_N2[0, 0] == pytest.approx(2 * (places_N2[2, 1] - places_N2[0, 1]))


def test_labels_do_not_overlap():
    places_N2 = np.random.default_rng(1).uniform(0, SIDE, size=(200, 2))
    words = ["国王", "queen"] * 100
    shown = labelled(places_N2, words)
    assert 0 in shown
    assert 50 < len(shown) < 200
    for one, other in combinations(shown, 2):
        (x, y), (u, v) = places_N2[one], places_N2[other]
        assert abs(y - v) > LABEL or abs(x - u) > LABEL


@pytest.mark.parametrize("name", ["map.svg", "map"])
def test_another_ending_is_refused(tmp_path: Path, name: str):
    with pytest.raises(OptionError, match=r"end the name in \.png, \.html"):
        draw_words(made(), tmp_path / name)
