"""mT5 (Xue et al. 2021): T5 1.1 for 101 languages; what its output layer reads is never scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, t5
from clearhead.hub.families.entries import entry
from clearhead.model import EncoderDecoderConfig

MODEL_TYPE: str = "mt5"
ARCHITECTURE: str = "MT5ForConditionalGeneration"
HARMLESS = t5.HARMLESS
fitted, table = t5.fitted, t5.table


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries: T5's, except ``scale_decoder_outputs``."""
    theirs = {name: value for name, value in t5.settings(config).items() if name != "scale_decoder_outputs"}
    return {**theirs, "architectures": [ARCHITECTURE], "model_type": MODEL_TYPE}


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    tied = entry(settings, "tie_word_embeddings", bool, True)
    return t5.read({"feed_forward_proj": "gated-gelu", **settings}, tied=tied, scaled=False)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
