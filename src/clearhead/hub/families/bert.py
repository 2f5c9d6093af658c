"""BERT (Devlin et al. 2019): norms after each sum, learned positions, token types, GELU, biases everywhere."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from clearhead.hub.families import bertlike
from clearhead.hub.families.bertlike import Entries, TensorNames
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import EncoderConfig, PredictionConfig

log = logging.getLogger(__name__)

MODEL_TYPE: str = "bert"
ARCHITECTURE: str = "BertForMaskedLM"
HARMLESS: frozenset[str] = bertlike.HARMLESS | {
    "attention_probs_dropout_prob",  # acts in training only
    "directionality",  # this and those below: written by the first release's converter, never read
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
}
ENTRIES = Entries(
    layers="num_hidden_layers",
    width="hidden_size",
    heads="num_attention_heads",
    inner="intermediate_size",
    activation="hidden_act",
    dropout="hidden_dropout_prob",
)
NAMES = TensorNames(
    prefix="bert.",
    embedding="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    token_types="embeddings.token_type_embeddings",
    norm="embeddings.LayerNorm",
    layers="encoder.layer",
    projections=("attention.self.query", "attention.self.key", "attention.self.value"),
    layer={
        "attention.out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "feed_forward.up": "intermediate.dense",
        "feed_forward.down": "output.dense",
        "feed_forward_norm": "output.LayerNorm",
    },
    dense="cls.predictions.transform.dense",
    head_norm="cls.predictions.transform.LayerNorm",
    output="cls.predictions.decoder",
    bias="cls.predictions.bias",
    head="cls.predictions.",
)
# The head for next-sentence prediction, which is not used here.
NEXT_SENTENCE = ("cls.seq_relationship.weight", "cls.seq_relationship.bias")
OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # TensorFlow's names


def refuses(config: EncoderConfig) -> list[str]:
    """Why this config is not a BERT; empty if it is."""
    if why := bertlike.refuses(config):
        return why
    if config.positions.first:
        why.append("its positions begin with the first vector")
    if not config.token_types:
        why.append("it has token types")
    if config.prediction not in (None, PredictionConfig(activation=config.feed_forward.kind)):
        why.append("its head has the activation of its feed-forward")
    return why


def settings(config: EncoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": bertlike.architecture("Bert", config),
        "model_type": MODEL_TYPE,
        **bertlike.settings(ENTRIES, config),
        "layer_norm_eps": config.norm.eps,
        "type_vocab_size": config.token_types,
        "attention_probs_dropout_prob": 0.0,
        "is_decoder": False,
        "add_cross_attention": False,
    }


def config(settings: Mapping[str, Any]) -> EncoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    return bertlike.config(
        ENTRIES,
        settings,
        eps=entry(settings, "layer_norm_eps", float, 1e-12),
        token_types=entry(settings, "type_vocab_size", int, 2),
        pooler=bertlike.has_pooler(settings),
    )


def fitted(config: EncoderConfig, names: Collection[str]) -> EncoderConfig:
    """The config with head and pooler if the weights have them; logs a head that is dropped."""
    if set(NEXT_SENTENCE) & set(names):
        log.info("the head for next-sentence prediction (%s) is not used", NEXT_SENTENCE[0].rpartition(".")[0])
    return bertlike.fitted(NAMES, config, names, PredictionConfig(activation=config.feed_forward.kind))


def spelled(config: EncoderConfig, name: str) -> str:
    """The table's name for a tensor of a file."""
    for old, new in OLD.items():
        name = name.replace(old, new)
    return name if name in NEXT_SENTENCE else bertlike.spelled(NAMES, config, name)


def table(config: EncoderConfig) -> list[Row]:
    """The table from our tensor names to BERT's."""
    return [*bertlike.table(NAMES, config), Row(None, NEXT_SENTENCE)]
