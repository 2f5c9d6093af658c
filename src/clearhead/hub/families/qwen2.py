"""Qwen 2 and 2.5 (Yang et al. 2024): a Llama with biases on queries, keys and values, and a window in some layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "qwen2"
ARCHITECTURE: str = "Qwen2ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {"max_window_layers", "use_mrope"}
modern = decoder.modern
spelled = decoder.spelled


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    window = decoder.window(config)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "layer_types": decoder.layer_types(config),
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, heads = decoder.read_sizes(settings, tied=False), decoder.read_heads(settings, said=("num_key_value_heads",))
    positions = rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"], theta=None)
    layers = decoder.layered(decoder.late_windows(settings), positions)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(**heads, bias=True, head_norm="none", window=layers["window"]),
        pattern=layers["pattern"],
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS), width=entry(settings, "intermediate_size", int)
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float)),
        positions=positions,
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Qwen 2's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
