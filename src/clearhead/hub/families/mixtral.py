"""Mixtral (Jiang et al. 2024): Llama's parts, and in each layer eight feed-forwards of which two are active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, mixture, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, ExpertsConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "mixtral"
ARCHITECTURE: str = "MixtralForCausalLM"
HARMLESS: frozenset[str] = mixture.HARMLESS
modern = rope.modern
spelled = decoder.spelled


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        **mixture.written(config, "num_local_experts"),
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "sliding_window": config.attention.window,
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes = decoder.read_sizes(settings, tied=False)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(
            **decoder.read_heads(settings),
            head_norm="none",
            window=entry(settings, "sliding_window", int | None, None),
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS),
            width=entry(settings, "intermediate_size", int),
            experts=ExpertsConfig(**mixture.read(settings, "num_local_experts", active=2)),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-5)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"], theta=1e6),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Mixtral's."""
    return decoder.table(config, feed_forward=_feed_forward)


def _feed_forward(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    return mixture.rows(config, ours, f"{theirs}.block_sparse_moe", ("w1", "w3", "w2"))


refuses = decoder.refusing(MODEL_TYPE, settings, config)
