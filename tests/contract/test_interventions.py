"""Runs the section on interventions of the page on seeing as printed, in one process, on a random model."""

from __future__ import annotations

import shlex
import string
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pages import ROOT, blocks, first_cells, section
from test_readme import skeleton, without_texts

import clearhead as ch
import shapes
from clearhead import corpora, hub
from clearhead.language_model import LanguageModel
from clearhead.text import Tokenizer
from little_configs import QWEN3, TRANSLATOR
from verbs import called

ENGLISH, CHINESE = ROOT / "docs" / "seeing.md", ROOT / "docs" / "seeing.zh-CN.md"
# "a man named Tom" and "a mum named Ann" have as many tokens; every name in an example is a token.
WORDS = (
    "One day, a man named Tom saw Lily. She and He. a mum named Ann. a boy, a girl. she he. I love it. I hate it. " * 40
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The section in both languages, as pages."""
    folder = tmp_path_factory.mktemp("parts")
    for page, heading in ((ENGLISH, "Interventions"), (CHINESE, "干预")):
        (folder / page.name).write_text(section(page, heading), encoding="utf-8")
    return folder / ENGLISH.name, folder / CHINESE.name


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """As many layers and heads as the examples name."""
    stories = list(corpora.get("world-en").source(megabytes=0.02).documents())
    tokenizer = Tokenizer.train_bpe([*stories, WORDS], 700)
    return LanguageModel(
        shapes.lively(replace(QWEN3, vocabulary=tokenizer.vocab_size, context=64, layers=10)), tokenizer, name="m"
    )


def test_commands_run(
    parts: tuple[Path, Path], model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub.save(Path("MODEL"), model)
    lines = [line for block in blocks(parts[0], "sh") for line in block.splitlines()]
    assert len(lines) > 5
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "clearhead"
        assert called(monkeypatch, *words) == 0, line
    assert Path("heads.png").stat().st_size > 1000


def test_blocks_run(
    parts: tuple[Path, Path], model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub.save(Path("runs") / "book", model)
    letters = Tokenizer.characters([string.ascii_letters + " ."])
    translating = shapes.lively(replace(TRANSLATOR, vocabulary=letters.vocab_size, context=41))
    names = {
        "ch": ch,
        "torch": torch,
        "encoder": model,
        "texts": ["One day", "The king"],
        "translator": LanguageModel(translating, letters),
        "she_id": model.encode(" she")[-1],
    }
    code = blocks(parts[0], "python")
    assert len(code) > 4
    for block in code:
        exec(compile(block, block.splitlines()[0], "exec"), names)
    assert Path("heads.png").stat().st_size > 1000
    assert names["t"].top(5)[0].change != 0


def test_every_form_of_an_edit_in_the_table_is_read(parts: tuple[Path, Path], model: LanguageModel) -> None:
    forms = [cell.strip("`") for cell in first_cells(parts[0].read_text(encoding="utf-8").partition("###")[0])]
    assert len(forms) > 10
    assert all(str(ch.edit(model, form)) for form in forms)


def test_the_chinese_says_the_same(parts: tuple[Path, Path]) -> None:
    english, chinese = parts
    lines = [[line for block in blocks(part, "sh") for line in block.splitlines()] for part in parts]
    assert [*map(skeleton, lines[0])] == [*map(skeleton, lines[1])]
    assert [*map(without_texts, blocks(english, "python"))] == [*map(without_texts, blocks(chinese, "python"))]
