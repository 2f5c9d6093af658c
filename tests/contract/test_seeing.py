"""Runs the page on seeing as printed, section by section, in one process, on a random model.

Input that a command reads from a file is the stories; /data is a folder of the test's; little is trained.
"""

from __future__ import annotations

import io
import re
import shlex
import string
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import ROOT, blocks, first_cells, section
from test_readme import LITTLE, skeleton, without_texts

import clearhead as ch
import shapes
from clearhead import corpora, hub
from clearhead.language_model import LanguageModel
from clearhead.tap import Site
from clearhead.text import Tokenizer
from little_configs import QWEN3, TRANSLATOR
from verbs import called

ENGLISH, CHINESE = ROOT / "docs" / "seeing.md", ROOT / "docs" / "seeing.zh-CN.md"
SECTIONS = {
    "What a pass computed": "一次前向计算了什么",
    "Every head by every measure": "每个头的各种度量",
    "Heads found": "找出各类头",
    "What each layer would predict": "每一层会预测什么",
    "What each part adds to a logit": "每个部分给 logit 加上多少",
    "What a prediction depends on": "预测取决于什么",
    "Circuits": "回路",
    "Interventions": "干预",
    "What changed": "什么变了",
}
# "a man named Tom" and "a mum named Ann" have as many tokens; every name in an example is a token.
WORDS = (
    "One day, a man named Tom saw Lily. She and He. a mum named Ann. a boy, a girl. she he. I love it. I hate it. " * 40
)
STORIES = list(corpora.get("world-en").source(megabytes=0.02).documents())


@pytest.fixture(scope="module", params=SECTIONS)
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A section in both languages, as pages."""
    folder = tmp_path_factory.mktemp("parts")
    for page, heading in ((ENGLISH, request.param), (CHINESE, SECTIONS[request.param])):
        (folder / page.name).write_text(section(page, heading), encoding="utf-8")
    return folder / ENGLISH.name, folder / CHINESE.name


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """As many layers and heads as the examples name."""
    tokenizer = Tokenizer.train_bpe([*STORIES, WORDS], 700)
    attention = replace(QWEN3.attention, heads=12, kv_heads=4, head_norm="none")
    config = replace(QWEN3, vocabulary=tokenizer.vocab_size, context=256, layers=10, attention=attention)
    return LanguageModel(shapes.lively(config), tokenizer, name="m")


def lines(part: Path) -> list[str]:
    return [line for block in blocks(part, "sh") for line in block.splitlines()]


@pytest.fixture
def here(model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the model under both of its names, and a text."""
    monkeypatch.chdir(tmp_path)
    hub.save(Path("MODEL"), model)
    hub.save(Path("runs") / "book", model)
    (tmp_path / "data").mkdir()
    Path("book.txt").write_text("\n".join(STORIES), encoding="utf-8")
    return tmp_path


def test_it_runs_as_printed(
    parts: tuple[Path, Path], model: LanguageModel, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in lines(parts[0]):
        command, _, file = line.partition(" < ")
        program, *words = shlex.split(command.replace("/data", str(here / "data")))
        assert program == "clearhead"
        words += ["--steps", "2"] if "--train" in words else []
        words += [word for each in LITTLE for word in ("--set", each)] if words[0] == "train" else []
        given = " ".join(STORIES)[:600] if file else ""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        assert called(monkeypatch, *words) == 0, line
    letters = Tokenizer.characters([string.ascii_letters + " ."])
    translating = shapes.lively(replace(TRANSLATOR, vocabulary=letters.vocab_size, context=41))
    names: dict[str, Any] = {
        "ch": ch,
        "torch": torch,
        "model": model,
        "text": "Tom saw Lily. Tom saw Lily.",
        "site": Site(4),
        "encoder": model,
        "texts": ["One day", "The king"],
        "translator": LanguageModel(translating, letters),
        "she_id": model.encode(" she")[-1],
    }
    for block in blocks(parts[0], "python"):
        code = block.replace('"/data', f'"{here / "data"}')
        exec(compile(code, block.splitlines()[0], "exec"), names)
    page = "\n".join([*lines(parts[0]), *blocks(parts[0], "python")]).replace("/data", str(here / "data"))
    for file in re.findall(r"""--out (\S+\.\w+)|draw_?\w*\(.*"([^"]+)"\)|save\("([^"]+)"\)""", page):
        assert Path("".join(file)).stat().st_size > 1000, file


def test_every_form_of_an_edit_in_the_table_is_read(model: LanguageModel) -> None:
    forms = [cell.strip("`") for cell in first_cells(section(ENGLISH, "Interventions").partition("###")[0])]
    assert len(forms) > 10
    assert all(str(ch.edit(model, form)) for form in forms)


def test_the_chinese_says_the_same(parts: tuple[Path, Path]) -> None:
    english, chinese = parts
    assert lines(english) or blocks(english, "python")
    assert [*map(skeleton, lines(english))] == [*map(skeleton, lines(chinese))]
    assert [*map(without_texts, blocks(english, "python"))] == [*map(without_texts, blocks(chinese, "python"))]
