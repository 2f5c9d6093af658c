"""OLMo 2 (2025): norms on each part's output, and over all query heads and all key heads together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "olmo2"
ARCHITECTURE: str = "Olmo2ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS
modern = rope.modern
spelled = decoder.spelled


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": config.attention.bias,
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=False), entry(settings, "attention_bias", bool, False)
    heads = decoder.read_heads(settings)
    return DecoderConfig(
        **sizes,
        arrangement="output",
        attention=AttentionConfig(**heads, bias=bias, out_bias=bias, head_norm="projection"),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS), width=entry(settings, "intermediate_size", int)
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-5)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"]),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to OLMo 2's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
