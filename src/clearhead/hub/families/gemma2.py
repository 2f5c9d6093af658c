"""Gemma 2 (2024): norms around each part, soft caps on scores and logits, a window in every other layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "gemma2"
ARCHITECTURE: str = "Gemma2ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {"hidden_act", "sliding_window_size"}  # transformers reads neither
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names, without a window that no layer uses."""
    return decoder.without_unused_window(rope.modern(settings), _alternate)


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": config.attention.bias,
        "query_pre_attn_scalar": decoder.scalar(config),
        "sliding_window": decoder.window(config) or 4096,  # transformers requires a number even if no layer uses it
        "layer_types": decoder.layer_types(config),
        "attn_logit_softcapping": config.attention.softcap,
        "final_logit_softcapping": config.logit_softcap,
        "use_bidirectional_attention": False,
        "hidden_activation": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, heads = (
        decoder.read_sizes(settings, tied=True),
        decoder.read_heads(settings, said=("num_key_value_heads", "head_dim"), divide=True),
    )
    positions = rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"])
    size = entry(settings, "sliding_window", int | None, 4096)
    layers = decoder.layered(decoder.read_windows(settings, size, _alternate), positions)
    bias = entry(settings, "attention_bias", bool, False)
    return DecoderConfig(
        **sizes,
        arrangement="sandwich",
        embedding_scale=sizes["width"] ** 0.5,
        logit_softcap=entry(settings, "final_logit_softcapping", float | None, 30.0),
        attention=AttentionConfig(
            **heads,
            bias=bias,
            out_bias=bias,
            head_norm="none",
            window=layers["window"],
            scale=decoder.read_scale(settings, heads["head_width"]),
            softcap=entry(settings, "attn_logit_softcapping", float | None, 50.0),
        ),
        pattern=layers["pattern"],
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_activation", decoder.ACTIVATIONS),
            width=entry(settings, "intermediate_size", int),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float), offset=1.0),
        positions=positions,
    )


def _alternate(layer: int) -> bool:
    return layer % 2 == 0


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Gemma 2's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
