"""DistilBERT (Sanh et al. 2019): half of BERT's layers, no token types, no pooler."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clearhead.hub.families import bertlike
from clearhead.hub.families.bertlike import Entries, TensorNames
from clearhead.hub.families.table import Row
from clearhead.model import EncoderConfig, PredictionConfig

MODEL_TYPE: str = "distilbert"
ARCHITECTURE: str = "DistilBertForMaskedLM"
HARMLESS: frozenset[str] = bertlike.HARMLESS | {
    "attention_dropout",  # acts in training only
    "qa_dropout",
    "seq_classif_dropout",
    "sinusoidal_pos_embds",  # how positions were initialised; they are in the weights
    "tie_weights_",  # only tie_word_embeddings is read
}
EPS = 1e-12  # of every norm; not a setting
ENTRIES = Entries(
    layers="n_layers", width="dim", heads="n_heads", inner="hidden_dim", activation="activation", dropout="dropout"
)
NAMES = TensorNames(
    prefix="distilbert.",
    embedding="embeddings.word_embeddings",
    positions="embeddings.position_embeddings",
    token_types="",
    norm="embeddings.LayerNorm",
    layers="transformer.layer",
    projections=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    layer={
        "attention.out": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "feed_forward.up": "ffn.lin1",
        "feed_forward.down": "ffn.lin2",
        "feed_forward_norm": "output_layer_norm",
    },
    dense="vocab_transform",
    head_norm="vocab_layer_norm",
    output="vocab_projector",
    bias="vocab_projector.bias",
    head="vocab_",
)


def refuses(config: EncoderConfig) -> list[str]:
    """Why this config is not a DistilBERT; empty if it is."""
    if why := bertlike.refuses(config):
        return why
    if config.positions.first or config.norm.eps != EPS:
        why.append(f"its positions begin with the first vector, and eps is {EPS}")
    if config.token_types or config.pooler:
        why.append("it has no token types and no pooler")
    if config.prediction not in (None, PredictionConfig(activation=config.feed_forward.kind)):
        why.append("its head has the activation of its feed-forward")
    return why


def settings(config: EncoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": bertlike.architecture("DistilBert", config),
        "model_type": MODEL_TYPE,
        **bertlike.settings(ENTRIES, config),
        "attention_dropout": 0.0,
    }


def config(settings: Mapping[str, Any]) -> EncoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    return bertlike.config(ENTRIES, settings, eps=EPS)


def fitted(config: EncoderConfig, names: Collection[str]) -> EncoderConfig:
    """The config with the head if the weights have it."""
    return bertlike.fitted(NAMES, config, names, PredictionConfig(activation=config.feed_forward.kind))


def spelled(config: EncoderConfig, name: str) -> str:
    """The table's name for a tensor of a file."""
    return bertlike.spelled(NAMES, config, name)


def table(config: EncoderConfig) -> list[Row]:
    """The table from our tensor names to DistilBERT's."""
    return bertlike.table(NAMES, config)
