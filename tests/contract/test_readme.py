"""Runs the README and the guide, in both languages, as printed: every command, every block of Python.

In one temporary folder, in the order of the pages, with real prose as book.txt and other.txt and little random models
as ./Qwen3-0.6B, ./bert-base, ./bert-base-chinese and gpt2; what stands in several places is run once. What differs from
what is printed:

the minutes of the first ``--minutes N`` become about nine seconds (thirty times what 20 million additions take at the
    moment, since the dial refuses a time that a busy machine spends on reading and measuring), of the others twenty
    small steps;
a built-in corpus is cut to 0.3 MB;
the Chinese pages' world-zh is world-en, which is there already: a tokenizer of bytes reads their sentences too;
``git clone`` and ``make`` are not run: that the Makefile has their targets is checked instead;
commands without shell syntax are forks of one process that has torch already; tests/cli/test_main.py starts the
    program itself.

All on one core: two threads on a busy machine are unpredictable, and the dial would have to measure them.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import pytest
from newcomer import write_released, write_texts
from pages import CHINESE, GUIDE, README, ROOT, blocks, commands
from running import PROGRAM, forks, run

PAGES = (README, GUIDE, *CHINESE.values())
NOT_RUN = ("git clone", "make ")
LITTLE = ("train.batch=2", "train.evaluations=2", "train.evaluation_tokens=2000", "train.final_tokens=2000")
FEW_STEPS = " ".join(["--steps 20", *(f"--set {each}" for each in LITTLE)])


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def folder(one_core: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder, with the texts and models that the pages name."""
    place = tmp_path_factory.mktemp("newcomer")
    write_texts(place)
    write_released(place)
    return place


def few_minutes() -> str:
    start = time.perf_counter()
    sum(range(20_000_000))
    return f"--minutes {max(8.0, 30 * (time.perf_counter() - start)) / 60:.3f}"


def shortened(command: str, minutes: str) -> str:
    """The command with less time and, if it trains, less of a corpus."""
    command = re.sub(r"--minutes \S+", minutes, command)
    return re.sub(r"train --corpus (\S+)", r"train --corpus \1 --megabytes 0.3", command)


def opens(picture: Path) -> bool:
    """True when the file is a whole picture of its kind."""
    if picture.suffix == ".png":
        return min(matplotlib.image.imread(picture).shape[:2]) > 100
    text = picture.read_text(encoding="utf-8")
    if picture.suffix == ".svg":
        return ElementTree.fromstring(text).tag.endswith("svg")
    return text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")


def test_every_command_and_every_block_runs_as_printed(folder: Path) -> None:
    printed = [command for page in PAGES for command in commands(page) if not command.startswith(NOT_RUN)]
    minutes = few_minutes()
    with forks(folder) as fork:
        for command in dict.fromkeys(command.replace("world-zh", "world-en") for command in printed):
            short = shortened(command, minutes)
            if set("|&<>$*`;") & set(command):
                run(["bash", "-c", short], folder)
            else:
                fork(shlex.split(short))
            if "--minutes" in command:
                minutes = FEW_STEPS
            words = shlex.split(command)
            if words[1] == "look" and "--out" in words:
                assert opens(folder / words[words.index("--out") + 1]), command
    pictures = {path: path.stat().st_mtime_ns for path in folder.glob("server.*")}

    readme = [[block] for block in blocks(README, "python")]  # each can be pasted by itself
    others = {ast.dump(ast.parse(block)): block for page in PAGES[1:] for block in blocks(page, "python")}
    run([sys.executable, "-c", PROGRAM], folder, input=json.dumps([*readme, [*others.values()]]))
    drawn = set(re.findall(r'ch\.draw\(record, "(.*?)"', README.read_text() + GUIDE.read_text()))
    assert drawn == {"server.html", "server.svg"}
    for name in drawn:
        assert opens(folder / name)
        assert (folder / name).stat().st_mtime_ns != pictures.get(folder / name)


def test_what_is_not_run_is_there() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [command.split()[1] for command in commands(README) if command.startswith("make ")]
    assert made == ["demo", "test"]
    assert set(made) <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def skeleton(command: str) -> list[str]:
    """Program, verb and options: what a Chinese reader's command must share with an English one's."""
    words = shlex.split(command)
    return words[:2] + [word for word in words if word.startswith("--")]


def without_texts(block: str) -> str:
    """The code of a block, its strings and comments apart."""
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_the_chinese_page_says_the_same(page: Path) -> None:
    chinese = CHINESE[page]
    assert [skeleton(command) for command in commands(page)] == [skeleton(command) for command in commands(chinese)]
    assert [*map(without_texts, blocks(page, "python"))] == [*map(without_texts, blocks(chinese, "python"))]
    assert blocks(page, "toml") == blocks(chinese, "toml")
    headings = [[len(line.split()[0]) for line in each.read_text().splitlines() if line.startswith("#")]
                for each in (page, chinese)]  # fmt: skip
    assert headings[0] == headings[1]
