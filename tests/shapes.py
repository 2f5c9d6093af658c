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
    DecoderConfig,
    EncoderConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LayerConfig,
    ModelConfig,
    Network,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    ScalingConfig,
    build,
)
from little_configs import GPT2, QWEN3


def qwen3(*, feed_forward: str = "swiglu", **attention: Any) -> ModelConfig:
    return replace(
        QWEN3,
        attention=replace(QWEN3.attention, **attention),
        feed_forward=replace(QWEN3.feed_forward, kind=feed_forward),
    )


EXPERTS = FeedForwardConfig(
    width=7, bias=True, experts=ExpertsConfig(count=5, active=2, softmax="all", bias=True, dense=(1,), dense_width=11)
)
PART = PositionConfig(rotated=0.5, scaling=ScalingConfig(kind="yarn", factor=2.0, original=11))
UNTURNED = PositionConfig(kind="none")

MODELS = {
    "Qwen 3": QWEN3,
    "GPT-2": GPT2,
    "window": qwen3(window=5),
    "soft cap": qwen3(softcap=1.5),
    "one key head": qwen3(kv_heads=1),
    "untied": replace(QWEN3, tied=False),
    "sinks": qwen3(sinks=True, window=5),
    "experts": replace(QWEN3, feed_forward=EXPERTS),
    "Gemma 3": replace(
        qwen3(feed_forward="geglu-tanh", scale=0.3),
        arrangement="sandwich",
        embedding_scale=20**0.5,
        logit_softcap=3.0,
        norm=NormConfig(offset=1.0),
        pattern=(LayerConfig(window=5, positions=PositionConfig(theta=50.0)), LayerConfig()),
    ),
    "OLMo 2": replace(qwen3(head_norm="projection"), arrangement="output"),
    "GPT-NeoX": replace(GPT2, arrangement="parallel", attention=replace(GPT2.attention, head_width=8), positions=PART),
    "SmolLM 3": replace(qwen3(head_norm="none"), pattern=(LayerConfig(), LayerConfig(positions=UNTURNED))),
    "norms after": replace(GPT2, arrangement="post"),
    "biases by distance": replace(
        QWEN3,
        positions=PositionConfig(kind="relative", buckets=7, distance=5),
        pattern=(LayerConfig(), LayerConfig(window=5), LayerConfig(positions=UNTURNED)),
    ),
}


def lively(config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> Network:
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


def assert_same(found: Tensor, expected: Tensor, config: ModelConfig) -> None:
    """The same logits but for the order of their sums, which other rows beside them may change.

    A sum of n products is off by at most n eps of what is summed (Higham 2002, eq. 3.5), another order of it by as much
    again, and a logit has gone through seven products in each layer and one more. What is summed stays as large as the
    result: norms see to that, and ``lively`` weights.
    """
    a = config.attention
    longest = max(config.width, a.heads * a.head_width, config.feed_forward.width, config.context)
    rounding = 2 * longest * (7 * config.layers + 1) * torch.finfo(expected.dtype).eps
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding * float(expected.abs().max()))


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
def norms(draw: st.DrawFn) -> NormConfig:
    eps = draw(st.floats(1e-9, 0.1))
    if draw(st.booleans()):
        return NormConfig(kind="layer", eps=eps, bias=draw(st.booleans()))
    return NormConfig(eps=eps, offset=draw(st.sampled_from([0.0, 1.0])))


@st.composite
def scalings(draw: st.DrawFn, head_width: int) -> ScalingConfig | None:
    divisors = st.lists(st.floats(1.0, 9.0), min_size=head_width // 2, max_size=head_width // 2).map(tuple)
    numbers = {"factor": draw(st.floats(1.0, 9.0)), "original": draw(st.integers(2, 20))}
    return draw(
        st.sampled_from(
            [
                None,
                ScalingConfig(kind="linear", **numbers),
                ScalingConfig(kind="llama3", **numbers),
                ScalingConfig(kind="yarn", attention=draw(st.none() | st.floats(0.5, 2.0)), **numbers),
                ScalingConfig(kind="longrope", short=draw(divisors), long=draw(divisors), **numbers),
            ]
        )
    )


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    """Every combination of parts that a config accepts."""
    positions = draw(st.sampled_from(["rotary", "learned", "relative"]))
    buckets = draw(st.integers(4, 9))
    kv_heads = draw(st.integers(1, 3))
    attention = AttentionConfig(
        heads=kv_heads * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        head_width=draw(st.integers(1, 5)) * 2 - (positions != "rotary"),
        bias=draw(st.booleans()),
        out_bias=draw(st.booleans()),
        head_norm=draw(st.sampled_from(["head", "projection", "none"])),
        window=draw(st.none() | st.integers(1, 9)),
        softcap=draw(st.none() | st.floats(0.5, 50.0)),
        scale=draw(st.none() | st.floats(0.01, 2.0)),
        sinks=draw(st.booleans()),
    )
    prediction = PredictionConfig(
        activation=draw(st.sampled_from([name for name, (_, gated) in FEED_FORWARDS.items() if not gated])),
        bias=draw(st.booleans()),
        output_bias=draw(st.booleans()),
    )
    own = draw(
        st.sampled_from(
            [
                {
                    "token_types": draw(st.integers(0, 3)),
                    "prediction": draw(st.sampled_from([None, prediction])),
                    "pooler": draw(st.booleans()),
                },
                {"logit_softcap": draw(st.none() | st.floats(0.5, 50.0))},
            ]
        )
    )
    layers = draw(st.integers(1, 3))
    kinds = st.builds(LayerConfig, window=st.none() | st.integers(1, 9), positions=st.sampled_from([None, UNTURNED]))
    pattern = tuple(draw(st.lists(kinds, max_size=3))) if attention.window is None else ()
    kind = DecoderConfig if "logit_softcap" in own else EncoderConfig
    return kind(
        vocabulary=draw(st.integers(1, 40)),
        context=draw(st.integers(1, 12)),
        layers=layers,
        width=draw(st.integers(1, 13)),
        attention=attention,
        feed_forward=draw(feed_forwards(layers)),
        norm=draw(norms()),
        positions=PositionConfig(
            kind=positions,
            theta=draw(st.floats(1.5, 1e7)),
            first=draw(st.integers(0, 3)) if positions == "learned" else 0,
            buckets=buckets,
            distance=draw(st.integers(buckets // 2 + 1, 12)),
            scaling=draw(scalings(attention.head_width)) if positions == "rotary" else None,
        ),
        pattern=pattern,
        embedding_scale=draw(st.none() | st.floats(0.1, 9.0)),
        arrangement=draw(st.sampled_from(["pre", "post", "output", "sandwich", "parallel"])),
        tied=draw(st.booleans()),
        dropout=draw(st.floats(0.0, 0.9)),
        **own,
    )
