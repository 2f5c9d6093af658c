"""Qwen 3 with experts (2025): Qwen 3's parts, with many small feed-forwards in all layers or some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clearhead.errors import ConfigError
from clearhead.hub.families import decoder, mixture, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, ExpertsConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "qwen3_moe"
ARCHITECTURE: str = "Qwen3MoeForCausalLM"
HARMLESS: frozenset[str] = mixture.HARMLESS | {"max_window_layers"}  # all layers have the window, or none has
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """As ``rope.modern``, with the dense layers as a list; without the entries only they use if there are none."""
    found = mixture.renamed(rope.modern(settings), "num_experts", "num_local_experts")
    layers, step = entry(found, "num_hidden_layers", int), entry(found, "decoder_sparse_step", int, 1)
    if step < 1:
        raise ConfigError(f"decoder_sparse_step: {step}; it must be at least 1")
    named = entry(found, "mlp_only_layers", tuple[int, ...] | None, None) or ()
    dense = {layer for layer in range(min(layers, 10_000)) if (layer + 1) % step}
    dense |= {layer for layer in named if 0 <= layer < layers}
    found |= {"decoder_sparse_step": 1, "mlp_only_layers": sorted(dense)}
    if not dense:
        found.pop("intermediate_size", None)
    if not entry(found, "use_sliding_window", bool, False):
        found.pop("sliding_window", None)
    return found


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    a, f, x = config.attention, config.feed_forward, mixture.experts(config)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        **mixture.written(config, "num_experts"),
        "moe_intermediate_size": f.width,
        "intermediate_size": x.dense_width or f.width,
        "norm_topk_prob": x.softmax == "chosen",
        "decoder_sparse_step": 1,
        "mlp_only_layers": list(x.dense),
        "hidden_act": decoder.spelt(f.kind, decoder.ACTIVATIONS),
        "attention_bias": a.bias,
        "use_sliding_window": a.window is not None,
        "sliding_window": a.window,
        "rope_parameters": rope.written(config.positions),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=False), entry(settings, "attention_bias", bool, False)
    width = entry(settings, "moe_intermediate_size", int)
    dense = entry(settings, "mlp_only_layers", tuple[int, ...], ())
    dense_width = entry(settings, "intermediate_size", int) if dense else width
    windowed = entry(settings, "use_sliding_window", bool, False)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(
            **decoder.read_heads(settings),
            bias=bias,
            out_bias=bias,
            window=entry(settings, "sliding_window", int | None, 4096) if windowed else None,
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS),
            width=width,
            experts=ExpertsConfig(
                **mixture.read(settings, "num_experts", active=8),
                softmax="chosen" if entry(settings, "norm_topk_prob", bool, False) else "all",
                dense=dense,
                dense_width=None if dense_width == width else dense_width,
            ),
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-6)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"]),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Qwen 3's."""
    return decoder.table(config, feed_forward=_feed_forward)


def _feed_forward(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    x = mixture.experts(config)
    if int(ours.rpartition(".")[2]) in x.dense:
        f = replace(config.feed_forward, width=x.dense_width or config.feed_forward.width, experts=None)
        return decoder.feed_forward_rows(replace(config, feed_forward=f), ours, theirs)
    return mixture.rows(config, ours, f"{theirs}.mlp", ("gate_proj", "up_proj", "down_proj"))


refuses = decoder.refusing(MODEL_TYPE, settings, config)
