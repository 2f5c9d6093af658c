"""Phi-3 and 4 (Abdin et al. 2024): a Llama with fused projections, partly rotated heads and LongRoPE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "phi3"
ARCHITECTURE: str = "Phi3ForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {
    "embd_pdrop",
    "full_attn_mod",
    "interpolate_factor",
    "original_max_position_embeddings",  # read only with LongRoPE
}
ORIGINAL = "original_max_position_embeddings"
spelled = decoder.spelled


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names, with the original context only in the table of rotary positions."""
    found = rope.modern(settings)
    table: dict[str, Any] = dict(entry(found, "rope_parameters", dict, {}))
    if table.get("rope_type") in ("su", "yarn"):  # LongRoPE's first names
        table["rope_type"] = "longrope"
    if table.get("rope_type") == "longrope":
        original = entry(settings, ORIGINAL, int, 4096)
        if table.setdefault(ORIGINAL, original) != original:
            raise ConfigError(f"{ORIGINAL}: {original}, but {shown(table[ORIGINAL])} in rope_parameters")
    return {**found, "rope_parameters": table}


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    scaling = config.positions.scaling
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **decoder.sizes(config),
        "attention_bias": False,
        "mlp_bias": False,
        "lm_head_bias": False,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "sliding_window": config.attention.window,
        "hidden_act": decoder.spelt(config.feed_forward.kind, decoder.ACTIVATIONS),
        ORIGINAL: config.context if scaling is None else scaling.original,
        "rope_parameters": rope.written(config.positions, partial=True),
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, table = decoder.read_sizes(settings, tied=False), entry(settings, "rope_parameters", dict, {})
    window = entry(settings, "sliding_window", int | None, None)
    return DecoderConfig(
        **sizes,
        attention=AttentionConfig(**decoder.read_heads(settings), head_norm="none", window=window),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", decoder.ACTIVATIONS), width=entry(settings, "intermediate_size", int)
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float, 1e-5)),
        positions=rope.read(table, context=sizes["context"], rotated=1.0, kinds=("default", "longrope")),
        dropout=entry(settings, "resid_pdrop", float, 0.0),
    )


def _attention(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    return [
        Row(None, (f"{theirs}.self_attn.rotary_emb.inv_freq",)),
        Row(f"{ours}.attention.qkv.weight", (f"{theirs}.self_attn.qkv_proj.weight",)),
        Row(f"{ours}.attention.out.weight", (f"{theirs}.self_attn.o_proj.weight",)),
    ]


def _feed_forward(config: DecoderConfig, ours: str, theirs: str) -> list[Row]:
    return [
        Row(f"{ours}.feed_forward.up.weight", (f"{theirs}.mlp.gate_up_proj.weight",)),
        Row(f"{ours}.feed_forward.down.weight", (f"{theirs}.mlp.down_proj.weight",)),
    ]


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to Phi-3's."""
    return decoder.table(config, attention=_attention, feed_forward=_feed_forward)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
