"""Runs the section about change of the page on seeing as printed, and compares its two languages."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from newcomer import write_texts
from pages import ROOT, blocks, section
from running import PROGRAM, forks, run
from test_readme import skeleton, without_texts

PAGES = {ROOT / "docs" / "seeing.md": "What changed", ROOT / "docs" / "seeing.zh-CN.md": "什么变了"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The sections as pages."""
    folder = tmp_path_factory.mktemp("parts")
    for page, heading in PAGES.items():
        (folder / page.name).write_text(section(page, heading), encoding="utf-8")
    return [folder / page.name for page in PAGES]


def lines(part: Path) -> list[str]:
    return [line for block in blocks(part, "sh") for line in block.splitlines()]


def test_it_runs_as_printed(parts: list[Path], tmp_path: Path) -> None:
    write_texts(tmp_path, characters=40_000)
    with forks(tmp_path) as fork:
        for command in lines(parts[0]):
            fork(shlex.split(command))
    run([sys.executable, "-c", PROGRAM], tmp_path, input=json.dumps([blocks(parts[0], "python")]))
    drawn = {"change.html", "change.svg", "history.svg", "history.png", "history.html"}
    assert all((tmp_path / name).stat().st_size > 1000 for name in drawn)


def test_the_chinese_says_the_same(parts: list[Path]) -> None:
    english, chinese = parts
    assert [*map(skeleton, lines(english))] == [*map(skeleton, lines(chinese))]
    assert [*map(without_texts, blocks(english, "python"))] == [*map(without_texts, blocks(chinese, "python"))]
