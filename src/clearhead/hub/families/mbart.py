"""mBART (Liu et al. 2020) and mBART-50: norms before each part, on each stack's embedding and after its last layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import bartlike, decoder
from clearhead.hub.families.table import Row
from clearhead.model import EncoderDecoderConfig, PositionConfig

MODEL_TYPE: str = "mbart"
ARCHITECTURE: str = "MBartForConditionalGeneration"
HARMLESS: frozenset[str] = bartlike.HARMLESS
FIRST = 2  # vectors of positions that no place uses


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return bartlike.settings(config, MODEL_TYPE, ARCHITECTURE)


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    return EncoderDecoderConfig(
        **bartlike.read(settings, scaled=False),
        positions=PositionConfig(kind="learned", first=FIRST),
        embedding_norm=True,
        output_bias=True,
    )


def table(config: EncoderDecoderConfig) -> list[Row]:
    """The table from our tensor names to mBART's."""
    places = [
        Row(f"{ours}positions.weight", (f"{stack}.embed_positions.weight",)) for ours, stack in bartlike.STACKS.items()
    ]
    return [
        *bartlike.shared(config),
        *places,
        *bartlike.norms("embedding_norm", "layernorm_embedding"),
        *bartlike.layers(config),
        *bartlike.norms("norm", "layer_norm"),
        Row("bias", ("final_logits_bias",), leading=True),
    ]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
