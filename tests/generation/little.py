"""Small models with random weights, which several tests generate with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.generation.decoding import Decoding
from clearhead.generation.sampling import Sampling
from clearhead.model import (
    AttentionConfig,
    Decoder,
    DecoderConfig,
    FeedForwardConfig,
    Network,
    NormConfig,
    PositionConfig,
    ScalingConfig,
    build,
)
from clearhead.text import Tokenizer

BYTES = Tokenizer.bytes()
SEPARATOR = 256


def little(
    *, shape: str = "qwen3", context: int = 61, window: int | None = None, scaling: ScalingConfig | None = None
) -> Network:
    """float64, with weights wide enough that the tokens' probabilities differ much."""
    gpt2 = shape == "gpt2"
    config = DecoderConfig(
        vocabulary=BYTES.vocab_size,
        context=context,
        layers=3,
        width=30,
        attention=AttentionConfig(
            heads=5,
            kv_heads=5 if gpt2 else 1,
            head_width=6,
            bias=gpt2,
            head_norm="none" if gpt2 else "head",
            window=window,
        ),
        feed_forward=FeedForwardConfig(kind="gelu" if gpt2 else "swiglu", width=43),
        norm=NormConfig(kind="layer" if gpt2 else "rms"),
        positions=PositionConfig(kind="learned" if gpt2 else "rotary", scaling=scaling),
    )
    model = build(config, seed=7).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(12)
    return model


def scripted(ids: Sequence[int], prompt: int = 0, context: int = 61) -> Network:
    """A model that repeats ``ids`` forever, starting with ids[0] after ``prompt`` places, separator included."""

    class Scripted(Decoder):
        def forward(self, ids_BT: Tensor, *, state=None, last=False, **rest) -> Tensor:
            start = 0 if state is None else state.length
            super().forward(ids_BT, state=state, last=last, **rest)
            places = torch.arange(start, start + ids_BT.shape[1])[-1 if last else 0 :]
            next_T = torch.tensor(list(ids))[(places - prompt) % len(ids)]
            return torch.nn.functional.one_hot(next_T, self.config.vocabulary).double().mul(50).unsqueeze(0)

    model = little(context=context)
    model.__class__ = Scripted
    return model


def written(model: Network, prompt: Sequence[int], number: int, *, lookup: bool = True, **sampling) -> list[int]:
    """``number`` ids after the prompt, by the engine alone."""
    chosen = Sampling(max_tokens=number, **sampling)
    decoding = Decoding(model, [prompt], chosen, vocabulary=model.config.vocabulary, lookup=lookup)
    ids: list[int] = []
    while len(ids) < number:
        ids += [token.id for token in decoding.step()]
    return ids[:number]
