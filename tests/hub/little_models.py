"""Small models in both released layouts, whose every weight matters, and a tokenizer of as many ids."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import little_configs
from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, Network, build
from clearhead.text import Tokenizer

TOKENIZER = Tokenizer.characters([string.ascii_lowercase + " .\n你"])  # 30 characters and the separator

QWEN3, GPT2 = (replace(config, layers=2) for config in (little_configs.QWEN3, little_configs.GPT2))


def with_attention(config: ModelConfig, **options: Any) -> ModelConfig:
    return replace(config, attention=replace(config.attention, **options))


NATIVE = with_attention(QWEN3, softcap=9.0)  # which no released family is
CONFIGS = {"qwen3": QWEN3, "gpt2": GPT2, "clearhead": NATIVE}
FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def with_feed_forward(config: ModelConfig, kind: str, **options: Any) -> ModelConfig:
    return replace(config, feed_forward=replace(config.feed_forward, kind=kind, **options))


def lively(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Network:
    """Weights wide enough that attention is uneven; norms and biases not 1 and 0."""
    model = build(config, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.3 * noise)
            else:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model.to(dtype).eval()


def ids(batch: int = 2, places: int = 23) -> Tensor:
    """ids_BT."""
    return torch.randint(31, (batch, places), generator=torch.Generator().manual_seed(7))


def saved(folder: Path, config: ModelConfig, dtype: torch.dtype = torch.float32) -> Network:
    """The model that was saved into the folder."""
    model = lively(config, dtype)
    hub.save(folder, LanguageModel(model, TOKENIZER))
    return model


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def converted(message: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that transformers writes when running the code in an error message."""
    code = message[message.index("AutoModel") :]
    names = set(re.findall(r"\b([A-Z]\w+)[.(]", code)) & set(dir(transformers))
    monkeypatch.chdir(place)
    exec(code, {name: getattr(transformers, name) for name in names})
    return place / "OUT"
