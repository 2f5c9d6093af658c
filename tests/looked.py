"""A small model, its attention recomputed in plain numpy, and records with weights known by hand."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.analysis import observe
from clearhead.attend import Mask, Request, Score, causal
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, Network, build
from clearhead.tap import Site
from clearhead.text import Tokenizer
from clearhead.watching import Record, TextRecord, TokenizedText

BYTES = Tokenizer.bytes()
LAYERS, HEADS, GROUPS, HEAD_WIDTH, WIDTH = 2, 6, 3, 10, 14


@functools.cache
def small(context: int = 101, window: int | None = None, layers: int = LAYERS, heads: int = HEADS) -> Network:
    """Random weights, large enough that heads differ and attention is far from even."""
    config = DecoderConfig(
        vocabulary=BYTES.vocab_size,
        context=context,
        layers=layers,
        width=WIDTH,
        attention=AttentionConfig(heads=heads, kv_heads=heads // 2, head_width=HEAD_WIDTH, window=window),
        feed_forward=FeedForwardConfig(width=11),
    )
    model = build(config, seed=7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(1.5 if "norm" in name else 12)
    return model.eval()


def speaking(**options: int | None) -> LanguageModel:
    """The small network with a tokenizer of bytes."""
    return LanguageModel(small(**options), BYTES)


def looked_at(text: str, **options: int | None) -> TextRecord:
    return observe(speaking(**options), text)


def assert_same_atlas(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Equal up to rounding, as dictionaries: where q and k lie in memory decides which kernel multiplies them."""
    assert {**found, "heads": None} == {**wanted, "heads": None}
    for one, other in zip(found["heads"], wanted["heads"], strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            exact = value is None or isinstance(value, (str, int))
            assert one[name] == (value if exact else pytest.approx(value, rel=1e-5, abs=1e-5)), name


def by_hand(model: Network, ids: list[int]) -> np.ndarray:
    """Every weight, float64 (layers, heads, T, T), from the model's numbers alone: no door, no torch arithmetic."""
    return heads_by_hand(model, ids)[0]


def heads_by_hand(model: Network, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Every weight, and what each head adds to the residual stream, (layers, heads, T, width), as ``by_hand``."""
    numbers = {name: value.double().numpy() for name, value in model.state_dict().items()}
    a, T = model.config.attention, len(ids)
    half = a.head_width // 2
    angle = np.arange(T)[:, None] / 10_000.0 ** (np.arange(half) / half)
    x = numbers["embedding.weight"][ids]
    found, added = [], []
    for layer in range(model.config.layers):
        own = {name.removeprefix(f"blocks.{layer}."): value for name, value in numbers.items()}
        h = normed(x, own["attention_norm.weight"]) @ own["attention.qkv.weight"].T
        q, k, v = np.split(h.reshape(T, -1, a.head_width).transpose(1, 0, 2), [a.heads, a.heads + a.kv_heads], axis=0)
        q = turned(normed(q, own["attention.head_norm.query"]), angle)
        k = turned(normed(k, own["attention.head_norm.key"]), angle)
        k, v = (np.repeat(part, a.heads // a.kv_heads, axis=0) for part in (k, v))
        s = q @ k.transpose(0, 2, 1) / np.sqrt(a.head_width)
        back = np.arange(T)[:, None] - np.arange(T)
        s[:, (back < 0) | (back >= (a.window or T))] = -np.inf
        w = np.exp(s - s.max(-1, keepdims=True))
        w /= w.sum(-1, keepdims=True)
        found.append(w)
        out = own["attention.out.weight"].reshape(-1, a.heads, a.head_width)
        added.append(np.einsum("hqk,hkd,ehd->hqe", w, v, out))
        x = x + (w @ v).transpose(1, 0, 2).reshape(T, -1) @ own["attention.out.weight"].T
        gate, up = np.split(normed(x, own["feed_forward_norm.weight"]) @ own["feed_forward.up.weight"].T, 2, axis=-1)
        x = x + (gate / (1 + np.exp(-gate)) * up) @ own["feed_forward.down.weight"].T
    return np.array(found), np.array(added)


def normed(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weight


def turned(x: np.ndarray, angle: np.ndarray) -> np.ndarray:
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def given(
    weights: list[list[float]], tokens: list[str], mask: Mask | None = None, sink: float | None = None
) -> TextRecord:
    """A record of one head with exactly these rows of weights: q holds their logarithms, k is the identity.

    With ``sink``, that much of every row lies on an attention sink; the weights given are the rest.
    """
    q_11QK = torch.log(torch.tensor(weights))[None, None]
    k_11KK = torch.eye(q_11QK.shape[-1])[None, None]
    q_11QK = q_11QK.clamp(min=-1e4)
    sinks_H = None if sink is None else torch.tensor([sink]).log()
    record = Record({Site(0): 1})
    request = Request(q_11QK, k_11KK, k_11KK, mask or causal(), Score(scale=1.0, sinks_H=sinks_H), Site(0))
    record.after(request, "reference", q_11QK)
    record.tokenized[0, "decoder"] = TokenizedText(tokens=tokens, pieces=[token.replace("·", " ") for token in tokens])
    return record.only()


# An attention sink takes 1/16 of every row.
SUNK = ([[0.9375, 0.0, 0.0], [0.25, 0.6875, 0.0], [0.5, 0.125, 0.3125]], ["the", "·server", "·crashed"])

# Rows that can be read off: the last query puts 1/2 on "the", 1/8 on "server", 3/8 on itself.
THREE = ([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.125, 0.375]], ["the", "·server", "·crashed"])
