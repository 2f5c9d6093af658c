"""SmolLM 3 (2025): a Llama in which every fourth layer has no positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig, PositionConfig

MODEL_TYPE: str = "smollm3"
ARCHITECTURE: str = "SmolLM3ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {"max_window_layers", "no_rope_layer_interval"}
NO_POSITIONS = PositionConfig(kind="none")
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names, without a window that is off or that no layer uses."""
    found, rotated = {"use_sliding_window": False, **rope.modern(settings)}, _rotated(settings)
    return decoder.without_unused_window(found, lambda layer: not rotated[layer])


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    window = decoder.window(config)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": config.attention.bias,
        "mlp_bias": config.feed_forward.bias,
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "layer_types": decoder.layer_types(config),
        "no_rope_layers": [int((kind.positions or config.positions).kind == "rotary") for kind in config.kinds],
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=True), entry(settings, "attention_bias", bool, False)
    heads, rotated = decoder.read_heads(settings, said=("num_key_value_heads",)), _rotated(settings)
    positions = rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"], theta=2_000_000.0)
    used = entry(settings, "use_sliding_window", bool, False)
    size = entry(settings, "sliding_window", int | None, None) if used else None
    windows = decoder.read_windows(settings, size, lambda layer: not rotated[layer])
    layers = decoder.layered(windows, positions, [positions if each else NO_POSITIONS for each in rotated])
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(**heads, bias=bias, out_bias=bias, head_norm="none", window=layers["window"]),
        pattern=layers["pattern"],
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS),
            width=entry(settings, "intermediate_size", int),
            bias=entry(settings, "mlp_bias", bool, False),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float)),
        positions=positions,
    )


def _rotated(settings: Mapping[str, Any]) -> list[bool]:
    """Which layers have rotary positions: 1 in ``no_rope_layers``, or all but every fourth."""
    layers = min(entry(settings, "num_hidden_layers", int), 10_000)
    given = entry(settings, "no_rope_layers", tuple[float, ...] | None, None)
    if given is not None:
        if len(given) != layers or not set(given) <= {0, 1}:
            raise ConfigError(f"no_rope_layers: {shown(list(given))}; it must be 0 or 1 for each of {layers} layers")
        return [bool(each) for each in given]
    interval = entry(settings, "no_rope_layer_interval", int, 4)
    if interval < 1:
        raise ConfigError(f"no_rope_layer_interval: {interval}; it must be at least 1")
    return [(layer + 1) % interval != 0 for layer in range(layers)]


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to SmolLM 3's."""
    return decoder.table(config)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
