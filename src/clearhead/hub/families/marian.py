"""Marian (Junczys-Dowmunt et al. 2018), OPUS-MT's layout: the Transformer of 2017, with a bias on the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import bartlike, decoder
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import EncoderDecoderConfig, PositionConfig

MODEL_TYPE: str = "marian"
ARCHITECTURE: str = "MarianMTModel"
HARMLESS: frozenset[str] = bartlike.HARMLESS


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        **bartlike.settings(config, MODEL_TYPE, ARCHITECTURE),
        "decoder_vocab_size": config.vocabulary,
        "share_encoder_decoder_embeddings": config.source_vocabulary is None,
    }


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    like = bartlike.read(settings, scaled=False)
    shared = entry(settings, "share_encoder_decoder_embeddings", bool, True)
    written = entry(settings, "decoder_vocab_size", int | None, None)
    return EncoderDecoderConfig(
        **{**like, "vocabulary": like["vocabulary"] if written is None else written},
        source_vocabulary=None if shared else like["vocabulary"],
        positions=PositionConfig(kind="sinusoidal"),
        arrangement="post",
        output_bias=True,
    )


def table(config: EncoderDecoderConfig) -> list[Row]:
    """The table from our tensor names to Marian's."""
    if config.source_vocabulary is None:
        rows = bartlike.shared(config)
    else:
        head = (bartlike.HEAD,)
        rows = [
            Row("embedding.weight", ("model.decoder.embed_tokens.weight",), copies=head if config.tied else ()),
            Row("encoder.embedding.weight", ("model.encoder.embed_tokens.weight",)),
            *([] if config.tied else [Row("head.weight", head)]),
        ]
    rows += [Row(None, (f"{stack}.embed_positions.weight",)) for stack in bartlike.STACKS.values()]
    return [*rows, Row("bias", ("final_logits_bias",), leading=True), *bartlike.layers(config)]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
