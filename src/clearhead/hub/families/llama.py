"""Llama 1, 2 and 3 (Touvron et al. 2023; Dubey et al. 2024): RMSNorm, rotary positions, SwiGLU, grouped heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "llama"
ARCHITECTURE: str = "LlamaForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {"is_llama_config"}
LENGTH = "max_sequence_length"  # in early files of Llama 1 instead of max_position_embeddings
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names, without SmolLM 2's rope_interleaved if it is false."""
    usual = settings.get("rope_interleaved") is False
    found = {name: value for name, value in settings.items() if not (usual and name == "rope_interleaved")}
    if LENGTH in found and found.get("max_position_embeddings", found[LENGTH]) == found[LENGTH]:
        found["max_position_embeddings"] = found.pop(LENGTH)
    return rope.modern(found)


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": config.attention.bias,
        "mlp_bias": config.feed_forward.bias,
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=False), entry(settings, "attention_bias", bool, False)
    heads = decoder.read_heads(settings, divide=True)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(**heads, bias=bias, out_bias=bias, head_norm="none"),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS),
            width=entry(settings, "intermediate_size", int),
            bias=entry(settings, "mlp_bias", bool, False),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-6)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"]),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Llama's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
