"""Marian (Junczys-Dowmunt et al. 2018), OPUS-MT's layout: the Transformer of 2017, with a bias on the logits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from clearhead.hub.families import decoder
from clearhead.hub.families.entries import entry, share, word
from clearhead.hub.families.table import Row
from clearhead.model import (
    AttentionConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    NormConfig,
    PositionConfig,
)

MODEL_TYPE: str = "marian"
ARCHITECTURE: str = "MarianMTModel"
HARMLESS: frozenset[str] = decoder.HARMLESS | {
    "activation_dropout",  # acts in training only, like those below
    "classif_dropout",
    "classifier_dropout",
    "decoder_layerdrop",
    "encoder_layerdrop",
    "init_std",
    "bad_words_ids",  # of generation, like those below
    "decoder_start_token_id",
    "early_stopping",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "num_beams",
    "add_bias_logits",  # written by the converter and never read, like those below
    "add_final_layer_norm",
    "extra_pos_embeddings",
    "normalize_before",
    "normalize_embedding",
    "num_hidden_layers",
    "static_position_embeddings",
}
ACTIVATIONS = {"silu": "swish", "relu": "relu", "gelu": "gelu", "tanh": "tanh"}
EPS = 1e-5  # of every norm; not in config.json

LAYER = {
    "attention.out": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
    "feed_forward_norm": "final_layer_norm",
}
CROSS = {
    "cross.query": "encoder_attn.q_proj",
    "cross.out": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
}


def _stack(attention: AttentionConfig, feed_forward: FeedForwardConfig, layers: int, name: str) -> dict[str, Any]:
    return {
        f"{name}_layers": layers,
        f"{name}_attention_heads": attention.heads,
        f"{name}_ffn_dim": feed_forward.width,
        f"{name}_layerdrop": 0.0,
    }


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    encoder = config.encoder
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": encoder.vocabulary,
        "decoder_vocab_size": config.vocabulary,
        "share_encoder_decoder_embeddings": config.source_vocabulary is None,
        "max_position_embeddings": config.context,
        "d_model": config.width,
        **_stack(encoder.attention, encoder.feed_forward, encoder.layers, "encoder"),
        **_stack(config.attention, config.feed_forward, config.layers, "decoder"),
        "activation_function": decoder.spelt(config.feed_forward.kind, ACTIVATIONS),
        "scale_embedding": config.embedding_scale is not None,
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "is_encoder_decoder": True,
        "is_decoder": False,
        "tie_word_embeddings": config.tied,
    }


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    width, vocabulary = entry(settings, "d_model", int), entry(settings, "vocab_size", int)
    shared = entry(settings, "share_encoder_decoder_embeddings", bool, True)
    written = entry(settings, "decoder_vocab_size", int | None, None)
    heads, inner = entry(settings, "decoder_attention_heads", int), entry(settings, "decoder_ffn_dim", int)
    for name in ("decoder_attention_heads", "encoder_attention_heads"):
        share(width, entry(settings, name, int), ("d_model", name))
    return EncoderDecoderConfig(
        vocabulary=vocabulary if written is None else written,
        source_vocabulary=None if shared else vocabulary,
        context=entry(settings, "max_position_embeddings", int),
        layers=entry(settings, "decoder_layers", int),
        encoder_layers=entry(settings, "encoder_layers", int),
        width=width,
        encoder_heads=_other(entry(settings, "encoder_attention_heads", int), heads),
        encoder_inner=_other(entry(settings, "encoder_ffn_dim", int), inner),
        attention=AttentionConfig(
            heads=heads, kv_heads=heads, head_width=width // heads, bias=True, out_bias=True, head_norm="none"
        ),
        feed_forward=FeedForwardConfig(kind=word(settings, "activation_function", ACTIVATIONS), width=inner, bias=True),
        norm=NormConfig(kind="layer", eps=EPS),
        positions=PositionConfig(kind="sinusoidal"),
        arrangement="post",
        embedding_scale=math.sqrt(width) if entry(settings, "scale_embedding", bool, False) else None,
        output_bias=True,
        tied=entry(settings, "tie_word_embeddings", bool, True),
        dropout=entry(settings, "dropout", float, 0.1),
    )


def _other(number: int, usual: int) -> int | None:
    """The number, or None if it is the usual one."""
    return None if number == usual else number


def table(config: EncoderDecoderConfig) -> list[Row]:
    """The table from our tensor names to Marian's."""
    source, target = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
    head = ("lm_head.weight",)
    if config.source_vocabulary is None:
        shared = (source, target, *(head if config.tied else ()))
        # without tied weights transformers would give each stack a matrix of its own
        rows = [Row("embedding.weight", ("model.shared.weight",), copies=shared, repeats=not config.tied)]
    else:
        rows = [
            Row("embedding.weight", (target,), copies=head if config.tied else ()),
            Row("encoder.embedding.weight", (source,)),
        ]
    rows += [Row(None, (f"model.{stack}.embed_positions.weight",)) for stack in ("encoder", "decoder")]
    rows += [Row("bias", ("final_logits_bias",), leading=True)]
    rows += _layers(config, "encoder.blocks", "model.encoder.layers", LAYER)
    rows += _layers(config, "blocks", "model.decoder.layers", LAYER | CROSS)
    return rows if config.tied else [*rows, Row("head.weight", head)]


def _layers(config: EncoderDecoderConfig, ours: str, theirs: str, names: Mapping[str, str]) -> Iterator[Row]:
    joined = {"attention.qkv": [f"self_attn.{each}_proj" for each in "qkv"]}
    joined |= {"cross.kv": [f"encoder_attn.{each}_proj" for each in "kv"]} if names.keys() >= CROSS.keys() else {}
    parts = joined | {name: [one] for name, one in names.items()}
    for layer in range(config.encoder_layers if ours.startswith("encoder") else config.layers):
        for our, their in parts.items():
            for part in ("weight", "bias"):
                rows = (config.width,) * len(their) if len(their) > 1 else ()
                named = tuple(f"{theirs}.{layer}.{each}.{part}" for each in their)
                yield Row(f"{ours}.{layer}.{our}.{part}", named, rows)


refuses = decoder.refusing(MODEL_TYPE, settings, config)
