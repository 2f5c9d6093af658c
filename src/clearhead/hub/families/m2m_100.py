"""M2M-100 (Fan et al. 2020) and NLLB-200 (2022): norms before each part, fairseq's sinusoids, no bias on the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import bartlike, decoder
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import EncoderDecoderConfig, PositionConfig

MODEL_TYPE: str = "m2m_100"
ARCHITECTURE: str = "M2M100ForConditionalGeneration"
HARMLESS: frozenset[str] = bartlike.HARMLESS - {"pad_token_id"}


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries. Positions count on from the id of padding."""
    return {**bartlike.settings(config, MODEL_TYPE, ARCHITECTURE), "pad_token_id": config.positions.first - 1}


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    return EncoderDecoderConfig(
        **bartlike.read(settings, scaled=True),
        positions=PositionConfig(kind="fairseq", first=entry(settings, "pad_token_id", int, 1) + 1),
    )


def table(config: EncoderDecoderConfig) -> list[Row]:
    """The table from our tensor names to M2M-100's."""
    # tables of sinusoids, which the first files hold
    tables = [Row(None, (f"{stack}.embed_positions.weights",)) for stack in bartlike.STACKS.values()]
    rows = [*bartlike.shared(config), *tables, *bartlike.layers(config)]
    return [*rows, *bartlike.norms("norm", "layer_norm")]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
