"""A small translator with random weights that several tests translate with, and pairs that several tests read."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import TRANSLATOR

LETTERS = Tokenizer.characters([string.ascii_lowercase + " .\n你"])  # 30 characters and the separator
SEPARATOR = 30


def translator(tokenizer: Tokenizer = LETTERS, *, seed: int = 0, ends: float = 0.0, **options: Any) -> LanguageModel:
    """In float64, with weights wide enough that what is written depends on what is read.

    ends: added to the logit of the end of a translation
    """
    config = replace(TRANSLATOR, vocabulary=tokenizer.vocab_size, **options)
    network = build(config, seed=seed).double().eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.dim() > 1:
                parameter.copy_(1.5 * noise / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(0.3 * noise)
        network.bias[tokenizer.separator] += ends
    return LanguageModel(network, tokenizer)


NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ZAHLEN = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]


def made_up(count: int = 200) -> list[tuple[str, str]]:
    """Pairs of three numbers each, in English and German; no two alike."""
    threes = [(n // 100 % 10, n // 10 % 10, n % 10) for n in range(7, 7 + 4 * count, 4)]
    return [(" ".join(NUMBERS[n] for n in three), " ".join(ZAHLEN[n] for n in three)) for three in threes]


def write_pairs(path: Path, count: int = 200, first: int = 0) -> Path:
    """A table of the made-up pairs from ``first`` on."""
    lines = (f"{source}\t{target}\n" for source, target in made_up(first + count)[first:])
    path.write_text("".join(lines), encoding="utf-8")
    return path
