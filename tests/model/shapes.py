"""Small models of both shapes, and all others; sizes are primes where they can be, so that a swapped axis fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from clearhead.model import (
    FEED_FORWARDS,
    AttentionConfig,
    ClampConfig,
    EncoderConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    Transformer,
    build,
)

QWEN3 = ModelConfig(
    vocabulary=31,
    context=23,
    layers=3,
    width=20,
    attention=AttentionConfig(heads=4, kv_heads=2, head_width=6),
    feed_forward=FeedForwardConfig(width=17),
)
GPT2 = ModelConfig(
    vocabulary=31,
    context=23,
    layers=3,
    width=21,
    attention=AttentionConfig(heads=3, kv_heads=3, head_width=7, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="gelu-tanh", width=13, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    positions=PositionConfig(kind="learned"),
)


def qwen3(*, feed_forward: str = "swiglu", **attention: Any) -> ModelConfig:
    return replace(
        QWEN3,
        attention=replace(QWEN3.attention, **attention),
        feed_forward=replace(QWEN3.feed_forward, kind=feed_forward),
    )


EXPERTS = FeedForwardConfig(
    width=7, bias=True, experts=ExpertsConfig(count=5, active=2, softmax="all", bias=True, dense=(1,), dense_width=11)
)
MODELS = {
    "Qwen 3": QWEN3,
    "GPT-2": GPT2,
    "window": qwen3(window=5),
    "soft cap": qwen3(softcap=1.5),
    "one key head": qwen3(kv_heads=1),
    "untied": replace(QWEN3, tied=False),
    "sinks": qwen3(sinks=True, window=5),
    "experts": replace(QWEN3, feed_forward=EXPERTS),
}


def lively(config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> Transformer:
    """A model whose every part matters: weights wide enough that attention is uneven, norms and biases not 1 and 0."""
    model = build(config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.3 * noise)
            elif name == "embedding.weight" or name.startswith("positions"):
                parameter.copy_(noise)
            else:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model.to(dtype).eval()


def text(config: ModelConfig, batch: int, places: int, seed: int = 0) -> Tensor:
    """ids_BT."""
    return torch.randint(config.vocabulary, (batch, places), generator=torch.Generator().manual_seed(seed))


@st.composite
def feed_forwards(draw: st.DrawFn, layers: int) -> FeedForwardConfig:
    """One feed-forward a layer, or several experts."""
    count = draw(st.integers(1, 4))
    experts = ExpertsConfig(
        count=count,
        active=draw(st.integers(1, count)),
        softmax=draw(st.sampled_from(["chosen", "all"])),
        bias=draw(st.booleans()),
        balance=draw(st.floats(0.0, 1.0)),
        dense=tuple(sorted(draw(st.sets(st.integers(0, layers - 1), max_size=layers - 1)))),
        dense_width=draw(st.none() | st.integers(1, 5)),
    )
    kind = draw(st.sampled_from(sorted(FEED_FORWARDS)))
    clamp = ClampConfig(limit=draw(st.floats(0.1, 9.0)), slope=draw(st.floats(0.1, 3.0)))
    return FeedForwardConfig(
        kind=kind,
        width=draw(st.integers(1, 11)),
        bias=draw(st.booleans()),
        clamp=draw(st.sampled_from([None, clamp])) if kind == "swiglu" else None,
        experts=draw(st.sampled_from([None, experts])),
    )


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Every combination of parts that a config accepts."""
    positions = draw(st.sampled_from(["rotary", "learned"]))
    kv_heads = draw(st.integers(1, 3))
    attention = AttentionConfig(
        heads=kv_heads * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        head_width=draw(st.integers(1, 5)) * 2 - (positions == "learned"),
        bias=draw(st.booleans()),
        out_bias=draw(st.booleans()),
        head_norm=draw(st.sampled_from(["head", "projection", "none"])),
        window=draw(st.none() | st.integers(1, 9)),
        softcap=draw(st.none() | st.floats(0.5, 50.0)),
        sinks=draw(st.booleans()),
    )
    prediction = PredictionConfig(
        activation=draw(st.sampled_from([name for name, (_, gated) in FEED_FORWARDS.items() if not gated])),
        bias=draw(st.booleans()),
        output_bias=draw(st.booleans()),
    )
    encoder = EncoderConfig(
        token_types=draw(st.integers(0, 3)),
        prediction=draw(st.sampled_from([None, prediction])),
        pooler=draw(st.booleans()),
    )
    layers = draw(st.integers(1, 3))
    return ModelConfig(
        vocabulary=draw(st.integers(1, 40)),
        context=draw(st.integers(1, 12)),
        layers=layers,
        width=draw(st.integers(1, 13)),
        attention=attention,
        feed_forward=draw(feed_forwards(layers)),
        norm=NormConfig(kind=draw(st.sampled_from(["rms", "layer"])), eps=draw(st.floats(1e-9, 0.1))),
        positions=PositionConfig(
            kind=positions,
            theta=draw(st.floats(1.5, 1e7)),
            first=draw(st.integers(0, 3)) if positions == "learned" else 0,
        ),
        arrangement=draw(st.sampled_from(["pre", "post", "output", "sandwich", "parallel"])),
        encoder=draw(st.sampled_from([None, encoder])),
        tied=draw(st.booleans()),
        dropout=draw(st.floats(0.0, 0.9)),
    )
