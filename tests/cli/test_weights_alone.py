"""Verbs on a folder without a tokenizer: those that need text say so first, the others work."""

from dataclasses import replace
from pathlib import Path

import pytest
from calling import Command

from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.model import build
from little_configs import QWEN3


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    hub.save(tmp_path / "alone", LanguageModel(build(replace(QWEN3, vocabulary=257), seed=0), None))
    return tmp_path / "alone"


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "alone", "a"],
        ["chat", "alone"],
        ["fill", "alone", "[MASK]"],
        ["look", "alone", "a"],
        ["eval", "alone", "text.txt"],
        ["train", "text.txt", "--from", "alone", "--steps", "2"],
    ],
    ids=lambda words: words[0],
)
def test_verbs_that_need_text_say_so(command: Command, alone: Path, tmp_path: Path, words: list[str]):
    done = command(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: alone: the folder has no tokenizer, so the model takes ids, not text; copy")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_show_says_the_rest(command: Command, alone: Path):
    rows = dict(line.split("  ", 1) for line in command("show", alone).out.splitlines())
    assert rows["tokenizer"].strip() == "none: it takes ids, not text"
    assert rows["family"].strip() == "qwen3"


def test_export_writes_the_weights(command: Command, alone: Path, tmp_path: Path):
    done = command("export", "alone", "out")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()
