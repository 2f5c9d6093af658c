"""A small translator that several tests translate with, and pairs that several tests read."""

from __future__ import annotations

import functools
import string
from dataclasses import replace
from pathlib import Path

import torch

from clearhead.attend import padding
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import TRANSLATOR

LETTERS = Tokenizer.characters([string.ascii_lowercase + " .\n你"])  # 30 characters and the separator
SEPARATOR = 30


@functools.cache
def translator(seed: int = 1, steps: int = 80) -> LanguageModel:
    """In float64. It has half learned to write each letter twice, so that what it writes is varied and ends."""
    network = build(replace(TRANSLATOR, vocabulary=LETTERS.vocab_size, context=41), seed=seed).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        lengths_B = torch.randint(1, 6, (32,), generator=generator)
        source_BS = torch.randint(SEPARATOR, (32, 6), generator=generator)
        cells_S = torch.arange(6)
        source_BS[cells_S >= lengths_B[:, None]] = SEPARATOR
        targets_BT = source_BS.repeat_interleave(2, dim=1)[:, :11].clone()
        targets_BT[torch.arange(11) > 2 * lengths_B[:, None]] = -100
        ids_BT = torch.cat([torch.full((32, 1), SEPARATOR), targets_BT.clamp(min=0)[:, :-1]], dim=1)
        loss = network(ids_BT, targets_BT=targets_BT, source_BS=source_BS, source_mask=padding(lengths_B + 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return LanguageModel(network.eval(), LETTERS)


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
