"""RoBERTa (Liu et al. 2019): BERT's shape; positions count from after the padding id, and the head has GELU."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clearhead.errors import ConfigError
from clearhead.hub.families import bert, bertlike
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import EncoderConfig, PredictionConfig

MODEL_TYPE: str = "roberta"
ARCHITECTURE: str = "RobertaForMaskedLM"
HARMLESS: frozenset[str] = bertlike.HARMLESS - {"pad_token_id"} | {
    "attention_probs_dropout_prob",  # acts in training only
}
NAMES = replace(
    bert.NAMES,
    prefix="roberta.",
    dense="lm_head.dense",
    head_norm="lm_head.layer_norm",
    output="lm_head.decoder",
    bias="lm_head.bias",
    head="lm_head.",
)
HEAD = PredictionConfig(activation="gelu")


def refuses(config: EncoderConfig) -> list[str]:
    """Why this config is not a RoBERTa; empty if it is."""
    if why := bertlike.refuses(config):
        return why
    if not config.positions.first:
        why.append("its positions begin after the padding id's")
    if not config.token_types:
        why.append("it has token types")
    if config.prediction not in (None, HEAD):
        why.append("its head has GELU")
    return why


def settings(config: EncoderConfig) -> dict[str, Any]:
    """config.json's entries: BERT's, and the padding id, after which positions begin."""
    first = config.positions.first
    return {
        **bert.settings(config),
        "architectures": bertlike.architecture("Roberta", config),
        "model_type": MODEL_TYPE,
        "max_position_embeddings": config.context + first,
        "pad_token_id": first - 1,
    }


def config(settings: Mapping[str, Any]) -> EncoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    like = bert.config(settings)
    padding = entry(settings, "pad_token_id", int, 1)
    if not 0 <= padding < like.context - 1:
        raise ConfigError(
            f"pad_token_id: {padding}; positions count from it, and max_position_embeddings is {like.context}"
        )
    head = HEAD if bertlike.has_head(settings) else None
    return replace(
        like,
        context=like.context - padding - 1,
        positions=replace(like.positions, first=padding + 1),
        prediction=head,
    )


def fitted(config: EncoderConfig, names: Collection[str]) -> EncoderConfig:
    """The config with head and pooler if the weights have them."""
    return bertlike.fitted(NAMES, config, names, HEAD)


def spelled(config: EncoderConfig, name: str) -> str:
    """The table's name for a tensor of a file."""
    return bertlike.spelled(NAMES, config, name)


def table(config: EncoderConfig) -> list[Row]:
    """The table from our tensor names to RoBERTa's."""
    return bertlike.table(NAMES, config)
