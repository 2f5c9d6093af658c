"""Exported files in llama.cpp itself: the same ids for texts, and the same greedy ids, in 32, 8 and 4 bits."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from little_gguf import CONFIGS, TEXT, folder
from little_models import lively
from test_real_weights import STORIES, stories_folder

from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.text import Tokenizer

# A Python with xllamacpp; it may be another one than that of the tests.
PYTHON = os.environ.get("XLLAMACPP_PYTHON") or (sys.executable if importlib.util.find_spec("xllamacpp") else None)
PROGRAM = Path(__file__).with_name("llama_cpp.py")
COUNT = 100
PROMPTS = [[7, 30, 290, 5, 261], [299, 12, 100, 46, 46, 271, 80], [1], [300, 200, 100, 50, 25, 12, 6, 3, 1, 0]]
TEXTS = [
    "The quick brown fox",
    "It's  12345 dogs, 你好 ...\n\n  and\tmore \r\n",
    "a<|endoftext|>b",
    "naïve café: 'LL won't 3.14!?",
    "   leading, trailing   ",
    "日本語のテキスト、한국어 🦊🦊",
]

pytestmark = pytest.mark.skipif(PYTHON is None, reason="xllamacpp is not installed (or XLLAMACPP_PYTHON not set)")


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    """A Llama that was really trained, with a tokenizer of as many ids."""
    if not STORIES.is_dir():
        pytest.skip("../shared/data/weights/stories260K is not here")
    place = stories_folder(tmp_path)
    Tokenizer.train_bpe([TEXT], 512).save(place)
    return place


def llama_cpp(file: Path, prompts: list[Any], count: int = COUNT) -> list[dict[str, Any]]:
    request = json.dumps({"file": str(file), "prompts": prompts, "count": count, "context": 256})
    done = subprocess.run([str(PYTHON), str(PROGRAM)], input=request, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@torch.no_grad()
def gap(model: LanguageModel, prompt: list[int], written: list[int]) -> float:
    """By how much a token that llama.cpp wrote is less likely than another by our logits; 0: it is what we write."""
    logits_NV = model(torch.tensor([prompt + written]))[0, len(prompt) - 1 : -1]
    logits_NV[:, model.tokenizer.end] = -torch.inf  # which llama.cpp was told not to write
    return float((logits_NV.amax(dim=-1) - logits_NV[torch.arange(len(written)), torch.tensor(written)]).max())


@pytest.mark.parametrize("bits", [None, 8, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_ids(name: str, bits: int | None, tmp_path: Path) -> None:
    model = hub.load(folder(tmp_path / "folder", CONFIGS[name]), bits=bits)
    hub.export_gguf(tmp_path / "model.gguf", model)
    found = llama_cpp(tmp_path / "model.gguf", PROMPTS)
    gaps = [gap(model, prompt, each["written"]) for prompt, each in zip(PROMPTS, found, strict=True)]
    # With rounded weights llama.cpp rounds the inputs of each product to 8 bits too; logits differ by about 1.1.
    assert max(gaps) == 0 if bits is None else max(gaps) < 0.15
    for text, each in zip(TEXTS, llama_cpp(tmp_path / "model.gguf", TEXTS, 1), strict=True):
        assert each["prompt"] == model.encode(text)


def test_characters(tmp_path: Path) -> None:
    texts = [
        "从前有座山，山里有座庙。",
        "庙里 有 个abc 老和尚🦊\n\n讲 <0xE4> 故事 ",
        "山<|endoftext|>水",
        " 不在词表里的字：鱻",
    ]
    tokenizer = Tokenizer.train_characters(["从前有座山，山里有座庙，庙里有个老和尚，讲 故事。\n" * 9])
    assert tokenizer.kind == "characters"
    model = LanguageModel(lively(CONFIGS["qwen3"]), tokenizer)
    hub.export_gguf(tmp_path / "model.gguf", model)
    back = hub.load(tmp_path / "model.gguf")
    assert back.tokenizer.kind == "characters"
    for text, each in zip(texts, llama_cpp(tmp_path / "model.gguf", texts, 1), strict=True):
        assert each["prompt"] == model.encode(text) == back.encode(text)
        assert back.tokenizer.decode(each["prompt"]) == "<|endoftext|>" + text


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_the_published_story(bits: int | None, stories: Path, tmp_path: Path) -> None:
    model = hub.load(stories, bits=bits)
    hub.export_gguf(tmp_path / "model.gguf", model)
    (found,) = llama_cpp(tmp_path / "model.gguf", [[1]], 200)
    ids = json.loads((STORIES / "golden_greedy.json").read_text(encoding="utf-8"))["ids"]
    if bits is None:
        assert [1, *found["written"]] == ids[:201]
    assert gap(model, [1], found["written"]) < 0.1
