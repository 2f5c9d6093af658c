"""Our own layout, for combinations of parts that no released family has; other tools cannot open it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import ModelConfig, skeleton
from clearhead.plain import to_dict

MODEL_TYPE: str = "clearhead"
HARMLESS: frozenset[str] = frozenset(
    {
        "bos_token_id",
        "decoder_start_token_id",
        "dtype",
        "eos_token_id",
        "forced_bos_token_id",
        "pad_token_id",
        "sep_token_id",
    }
)


def refuses(config: ModelConfig) -> list[str]:
    """Always empty: every config can be written."""
    return []


def settings(config: ModelConfig) -> dict[str, Any]:
    """config.json's entries: the config itself, which says its kind."""
    return {"architectures": [config.kind], "model_type": MODEL_TYPE, "model": to_dict(config)}


def config(settings: Mapping[str, Any]) -> ModelConfig:
    """The config of config.json's entries."""
    return entry(settings, "model", ModelConfig)


def table(config: ModelConfig) -> list[Row]:
    """Every tensor under its own name."""
    return [Row(name, (name,)) for name in skeleton(config).state_dict()]
