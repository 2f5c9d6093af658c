"""Texts of random tokens from a model's own vocabulary, in which copying can be told from everything else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clearhead.errors import OptionError, many
from clearhead.language_model import LanguageModel

# Tokens in a period at most, and periods in a repeated text.
PERIOD, REPEATS = 32, 3

# One token in EVERY is masked; where each period masks different ones, they shift by STEP.
EVERY, STEP = 6, 2

# Most tokens of the text that hides a needle; its marker and the needle take UNIT of them.
HAYSTACK, UNIT = 128, 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeated:
    """Random tokens, and the same again: ids_BT, after a model's opening tokens and before an encoder's closing ones.

    front, back: number of opening and closing tokens; period: number of tokens before the first repeats
    """

    ids_BT: Tensor
    front: int
    period: int
    back: int = 0

    @property
    def random(self) -> slice:
        """Places of the random tokens."""
        return slice(self.front, self.ids_BT.shape[1] - self.back)

    @property
    def again(self) -> slice:
        """Places whose token stood a period before."""
        return slice(self.front + self.period, self.random.stop)

    @property
    def copies_BTT(self) -> Tensor:
        """Which places hold the same random token, except a place itself."""
        ids_BT = self.ids_BT.cpu()
        same_BTT = ids_BT[:, :, None] == ids_BT[:, None, :]
        return same_BTT & ~torch.eye(ids_BT.shape[1], dtype=torch.bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Texts in which a model is to predict some tokens: from the states at ``at_N``, the ids targets_BN."""

    ids_BT: Tensor
    at_N: Tensor
    targets_BN: Tensor

    def row(self, text: int) -> Probe:
        """One of the texts, as a batch of its own."""
        one = slice(text, text + 1)
        return replace(self, ids_BT=self.ids_BT[one], targets_BN=self.targets_BN[one])


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
    front, back, ids_V = _front(model), _back(model), _ordinary(model)
    around = len(front) + len(back)
    period = min(PERIOD, len(ids_V), (model.config.context - around) // REPEATS)
    if (model.config.context - around) // REPEATS < 4:
        raise OptionError(
            f"find_heads: the model's context is {many(model.config.context, 'token')}; {REPEATS * 4 + around} are "
            "needed for a text that repeats itself"
        )
    generator = torch.Generator().manual_seed(seed)
    rows = [_drawn(ids_V, max(4, period), generator).repeat(REPEATS) for _ in range(texts)]
    ids_BT = torch.stack([torch.cat([front, row, back]) for row in rows])
    return Repeated(ids_BT=ids_BT.to(model.device), front=len(front), period=period, back=len(back))


def next_tokens(text: Repeated) -> tuple[Probe, Probe]:
    """The next token in the first period, which nothing predicts, and in the repetitions."""
    last = text.random.stop - 1
    new, again = torch.arange(max(0, text.front - 1), text.again.start - 1), torch.arange(text.again.start - 1, last)
    one, other = (Probe(ids_BT=text.ids_BT, at_N=at_N, targets_BN=text.ids_BT[:, at_N + 1]) for at_N in (new, again))
    return one, other


def masked_tokens(text: Repeated, mask: int) -> tuple[Probe, Probe]:
    """Masked tokens none of whose copies can be seen, and masked tokens all of whose copies can.

    One in EVERY is masked: the same in all periods, and others in each.
    """
    offsets_N = torch.arange(text.random.stop - text.front)
    places_N, period_N = offsets_N % text.period, offsets_N // text.period
    found: list[Probe] = []
    for step in (0, STEP):
        at_N = text.front + ((places_N + step * period_N) % EVERY == 0).nonzero()[:, 0]
        found.append(
            Probe(
                ids_BT=text.ids_BT.index_fill(1, at_N.to(text.ids_BT.device), mask),
                at_N=at_N,
                targets_BN=text.ids_BT[:, at_N],
            )
        )
    return found[0], found[1]


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


def _back(model: LanguageModel) -> Tensor:
    """The tokens that close every text of an encoder."""
    closed = model.has_tokenizer and "next tokens" not in model.abilities
    return torch.tensor(model.tokenizer.back if closed else (), dtype=torch.int64)


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
