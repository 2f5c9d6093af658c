"""Mistral (Jiang et al. 2023): a Llama without biases, with one window for all layers or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "mistral"
ARCHITECTURE: str = "MistralForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS
modern = rope.modern
spelled = decoder.spelled


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "sliding_window": config.attention.window,
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, window = decoder.read_sizes(settings, tied=False), entry(settings, "sliding_window", int | None, 4096)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(
            **decoder.read_heads(settings, said=("num_key_value_heads",)), head_norm="none", window=window
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS), width=entry(settings, "intermediate_size", int)
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"]),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Mistral's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
