"""Gemma 3's text models (2025): Gemma 2 without soft caps, with norms on heads and another theta in windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "gemma3_text"
ARCHITECTURE: str = "Gemma3ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {"_sliding_window_pattern", "hidden_act", "sliding_window_pattern"}
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names: a table of rotary positions for each kind of layer."""
    local = "rope_local_base_freq"
    found = decoder.without_unused_window(settings, _local(settings))
    found = {name: value for name, value in found.items() if name not in (*rope.OLDER, local)}
    if settings.get("rope_parameters") is not None:
        older = sorted(name for name in (*rope.OLDER, local) if settings.get(name) is not None)
        if older:
            raise ConfigError(f"{older[0]}: {shown(settings[older[0]])} beside rope_parameters, which replaces it")
        return _without_unused_table(found, settings)
    full = rope.modern({name: settings[name] for name in rope.OLDER if name in settings}).get("rope_parameters", {})
    sliding = {} if settings.get(local) is None else {"rope_theta": settings[local]}
    return _without_unused_table({**found, "rope_parameters": {decoder.FULL: full, decoder.SLIDING: sliding}}, settings)


def _without_unused_table(found: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries without the rotary positions of windowed layers, if there are no such layers."""
    tables: dict[str, Any] = entry(found, "rope_parameters", dict, {})
    if any(decoder.read_windows(settings, 1, _local(settings))):
        return found
    return {**found, "rope_parameters": {name: each for name, each in tables.items() if name != decoder.SLIDING}}


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    local = next((kind.positions for kind in config.kinds if kind.window is not None), None)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": config.attention.bias,
        "query_pre_attn_scalar": decoder.scalar(config),
        "sliding_window": decoder.window(config) or 4096,  # transformers requires a number even if no layer uses it
        "layer_types": decoder.layer_types(config),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": config.logit_softcap,
        "use_bidirectional_attention": False,
        "hidden_activation": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": {
            decoder.FULL: rope.written(config.positions),
            decoder.SLIDING: rope.written(local or config.positions),
        },
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, heads = (
        decoder.read_sizes(settings, tied=True),
        decoder.read_heads(settings, said=("num_key_value_heads", "head_dim"), divide=True),
    )
    tables = entry(settings, "rope_parameters", dict, {})
    full, sliding = (entry(tables, name, dict | None, None) or {} for name in (decoder.FULL, decoder.SLIDING))
    positions = rope.read(full, context=sizes["context"], theta=1_000_000.0)
    local = rope.read(sliding, context=sizes["context"])
    size = entry(settings, "sliding_window", int | None, 4096)
    windows = decoder.read_windows(settings, size, _local(settings))
    own = [positions if window is None else local for window in windows]
    layers = decoder.layered(windows, positions, own)
    bias = entry(settings, "attention_bias", bool, False)
    return DecoderConfig(
        **sizes,
        arrangement="sandwich",
        embedding_scale=sizes["width"] ** 0.5,
        logit_softcap=entry(settings, "final_logit_softcapping", float | None, None),
        attention=AttentionConfig(
            **heads,
            bias=bias,
            out_bias=bias,
            head_norm="head",
            window=layers["window"],
            scale=decoder.read_scale(settings, heads["head_width"]),
        ),
        pattern=layers["pattern"],
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_activation", decoder.ACTIVATIONS),
            width=entry(settings, "intermediate_size", int),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float), offset=1.0),
        positions=positions,
    )


def _local(settings: Mapping[str, Any]) -> Callable[[int], bool]:
    """Which layers have a window by default: all but every ``sliding_window_pattern``-th (6 unless given)."""
    every = entry(settings, "sliding_window_pattern", int, 6)
    if every < 1:
        raise ConfigError(f"sliding_window_pattern: {every}; it must be at least 1")
    return lambda layer: (layer + 1) % every != 0


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Gemma 3's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
