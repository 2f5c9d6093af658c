"""Runs two sections of the page on seeing as printed, but training on less, and compares their two languages."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from newcomer import write_texts
from pages import ROOT, blocks, section
from running import PROGRAM, forks, run
from test_readme import LITTLE, skeleton, without_texts

PAGES = {
    ROOT / "docs" / "seeing.md": ("What changed", "What a pass computed"),
    ROOT / "docs" / "seeing.zh-CN.md": ("什么变了", "一次前向计算了什么"),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The sections as pages."""
    folder = tmp_path_factory.mktemp("parts")
    for page, headings in PAGES.items():
        (folder / page.name).write_text("".join(section(page, each) for each in headings), encoding="utf-8")
    return [folder / page.name for page in PAGES]


def lines(part: Path) -> list[str]:
    return [line for block in blocks(part, "sh") for line in block.splitlines()]


def test_it_runs_as_printed(parts: list[Path], tmp_path: Path) -> None:
    write_texts(tmp_path, characters=40_000)
    with forks(tmp_path) as fork:
        for command in lines(parts[0]):
            small = [word for each in LITTLE for word in ("--set", each)] if " train " in command else []
            fork([*shlex.split(command), *small])
    code = [block.replace("runs/book", "runs/kept") for block in blocks(parts[0], "python")]
    run([sys.executable, "-c", PROGRAM], tmp_path, input=json.dumps([code]))
    drawn = {"change.html", "change.svg", "history.svg", "history.png", "history.html"}
    assert all((tmp_path / name).stat().st_size > 1000 for name in drawn)


def test_the_chinese_says_the_same(parts: list[Path]) -> None:
    english, chinese = parts
    assert [*map(skeleton, lines(english))] == [*map(skeleton, lines(chinese))]
    assert [*map(without_texts, blocks(english, "python"))] == [*map(without_texts, blocks(chinese, "python"))]
