"""GPT-OSS (2025): attention sinks, a window in every other layer, YaRN, clamped experts with biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError
from clearhead.hub.families import decoder, mixture, rope
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, ClampConfig, DecoderConfig, ExpertsConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "gpt_oss"
ARCHITECTURE: str = "GptOssForCausalLM"
HARMLESS: frozenset[str] = mixture.HARMLESS | {
    "experts_per_token",  # OpenAI's name for num_experts_per_tok, which is there too
    "initial_context_length",  # repeats original_max_position_embeddings
}
spelled = decoder.spelled

# transformers' default if config.json has no rope_parameters.
YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


def modern(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """As ``rope.modern``, without a window that no layer uses."""
    found = rope.modern(settings)
    if decoder.SLIDING not in (entry(found, "layer_types", tuple[str, ...] | None, None) or (decoder.SLIDING,)):
        found.pop("sliding_window", None)
    return found


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    clamp = config.feed_forward.clamp
    if clamp is None:
        raise ConfigError("feed_forward.clamp is missing; this family has one")
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        **mixture.written(config, "num_local_experts"),
        "hidden_act": "silu",
        "swiglu_limit": clamp.limit,
        "swiglu_alpha": clamp.slope,
        "attention_bias": config.attention.bias,
        "sliding_window": decoder.window(config) or 128,  # transformers requires a number even if no layer uses it
        "layer_types": decoder.layer_types(config),
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=False), entry(settings, "attention_bias", bool, True)
    window = entry(settings, "sliding_window", int | None, 128)
    positions = rope.read(entry(settings, "rope_parameters", dict, YARN), context=sizes["context"], theta=150_000.0)
    layers = decoder.layered(decoder.read_windows(settings, window, lambda layer: layer % 2 == 0), positions)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(
            **decoder.read_heads(settings),
            bias=bias,
            out_bias=bias,
            head_norm="none",
            sinks=True,
            window=layers["window"],
        ),
        pattern=layers["pattern"],
        feed_forward=FeedForwardConfig(
            width=entry(settings, "intermediate_size", int),
            bias=True,
            clamp=ClampConfig(
                limit=entry(settings, "swiglu_limit", float, 7.0), slope=entry(settings, "swiglu_alpha", float, 1.702)
            ),
            experts=ExpertsConfig(**mixture.read(settings, "num_local_experts", active=4), bias=True),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-5)),
        positions=positions,
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to GPT-OSS's."""
    return decoder.table(config, _attention, _feed_forward)


def _attention(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    sinks = Row(f"{ours}.attention.sinks", (f"{theirs}.self_attn.sinks",))
    return [*decoder.attention_rows(config, ours, theirs), sinks]


def _feed_forward(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    """All experts in one tensor, each as (in, out)."""
    ours, theirs = f"{ours}.feed_forward", f"{theirs}.mlp"
    return [
        Row(f"{ours}.router.weight", (f"{theirs}.router.weight",)),
        Row(f"{ours}.router.bias", (f"{theirs}.router.bias",)),
        Row(f"{ours}.up.weight", (f"{theirs}.experts.gate_up_proj",), interleaved=True),
        Row(f"{ours}.up.bias", (f"{theirs}.experts.gate_up_proj_bias",), interleaved=True),
        Row(f"{ours}.down.weight", (f"{theirs}.experts.down_proj",), transposed=True),
        Row(f"{ours}.down.bias", (f"{theirs}.experts.down_proj_bias",)),
    ]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
