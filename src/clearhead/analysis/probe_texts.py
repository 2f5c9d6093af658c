"""Texts of random tokens from a model's own vocabulary, in which copying can be told from everything else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clearhead.errors import OptionError, many
from clearhead.language_model import LanguageModel

# Tokens in a period at most, and periods in a repeated text.
PERIOD, REPEATS = 32, 3

# Tokens at most in the text around a needle; the question and the answer, a needle, take UNIT tokens together.
HAYSTACK, UNIT = 128, 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeated:
    """Random tokens, and the same again: ids_BT, with a model's opening tokens first.

    front: number of opening tokens; period: number of tokens before the first repeats
    """

    ids_BT: Tensor
    front: int
    period: int

    @property
    def again(self) -> slice:
        """Places whose token stood a period before."""
        return slice(self.front + self.period, self.ids_BT.shape[1])

    def row(self, text: int) -> Repeated:
        """One of the texts, as a batch of its own."""
        return replace(self, ids_BT=self.ids_BT[text : text + 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Needles:
    """Random tokens with a marker and a needle among them; the same marker and needle end the text.

    asked: places from which the needle's tokens are predicted, N of them; held_BN: where those tokens stand in the text
    """

    ids_BT: Tensor
    asked: slice
    held_BN: Tensor


def repeated(model: LanguageModel, texts: int, seed: int) -> Repeated:
    """``texts`` rows of up to REPEATS periods. Raises OptionError if the context or the vocabulary is too small."""
    front, ids_V = _front(model), _ordinary(model)
    period = min(PERIOD, len(ids_V), (model.config.context - len(front)) // REPEATS)
    if (model.config.context - len(front)) // REPEATS < 4:
        raise OptionError(
            f"find_heads: the model's context is {many(model.config.context, 'token')}; {REPEATS * 4 + len(front)} are "
            "needed for a text that repeats itself"
        )
    generator = torch.Generator().manual_seed(seed)
    rows = [_drawn(ids_V, max(4, period), generator).repeat(REPEATS) for _ in range(texts)]
    ids_BT = torch.stack([torch.cat([front, row]) for row in rows])
    return Repeated(ids_BT=ids_BT.to(model.device), front=len(front), period=period)


def needles(model: LanguageModel, texts: int, seed: int) -> Needles:
    """``texts`` rows with a needle each, at depths from the start to the end (Kamradt 2023; Wu et al. 2024, 2).

    Raises OptionError if the context or the vocabulary is too small.
    """
    front, ids_V = _front(model), _ordinary(model)
    room = min(HAYSTACK + UNIT, model.config.context - len(front))
    unit = min(UNIT, room // 4)
    marker, hay = unit // 3, room - 2 * unit
    if marker < 1:
        raise OptionError(
            f"find_heads: the model's context is {many(model.config.context, 'token')}; {12 + len(front)} are needed "
            "for a text with a needle"
        )
    generator = torch.Generator().manual_seed(seed)
    rows: list[Tensor] = []
    held: list[Tensor] = []
    for text in range(texts):
        drawn_V = _drawn(ids_V, max(len(ids_V), unit + 1), generator)
        needle, others_V = drawn_V[:unit], drawn_V[unit:]
        around = others_V[torch.randint(len(others_V), (hay,), generator=generator)]
        depth = hay * text // max(1, texts - 1)
        rows.append(torch.cat([front, around[:depth], needle, around[depth:], needle]))
        held.append(torch.arange(len(front) + depth + marker, len(front) + depth + unit))
    ids_BT = torch.stack(rows)
    last = ids_BT.shape[1] - 1
    asked = slice(last - (unit - marker), last)
    return Needles(ids_BT=ids_BT.to(model.device), asked=asked, held_BN=torch.stack(held).to(model.device))


def _front(model: LanguageModel) -> Tensor:
    """The tokens that open every text of the model."""
    return torch.tensor(model.tokenizer.front if model.has_tokenizer else (), dtype=torch.int64)


def _ordinary(model: LanguageModel) -> Tensor:
    """The ids of the vocabulary, ids_V, without special tokens and gaps."""
    if not model.has_tokenizer:
        return torch.arange(model.config.vocabulary)
    tokenizer = model.tokenizer
    special = {*tokenizer.front, *tokenizer.back, *tokenizer.gaps, tokenizer.end, tokenizer.unknown}
    special |= {tokenizer.role(name) for name in tokenizer.roles}
    known = range(min(tokenizer.vocab_size, model.config.vocabulary))
    return torch.tensor([token for token in known if token not in special])


def _drawn(ids_V: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` different ids in random order."""
    if len(ids_V) < count:
        raise OptionError(
            f"find_heads: {count} different ordinary tokens are needed; the model's vocabulary has {len(ids_V)}"
        )
    return ids_V[torch.randperm(len(ids_V), generator=generator)[:count]]
