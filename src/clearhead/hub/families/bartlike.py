"""What encoder-decoders of BART's layout share (Lewis et al. 2020): entries of config.json, names of tensors."""

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
)

HARMLESS = decoder.HARMLESS | {
    "activation_dropout",  # acts in training only, like those below
    "classif_dropout",
    "classifier_dropout",
    "decoder_layerdrop",
    "encoder_layerdrop",
    "init_std",
    "bad_words_ids",  # of generation, like those below
    "decoder_start_token_id",
    "early_stopping",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "num_beams",
    "add_bias_logits",  # written by converters and never read, like those below
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
STACKS = {"encoder.": "model.encoder", "": "model.decoder"}  # ours and theirs
HEAD = "lm_head.weight"


def settings(config: EncoderDecoderConfig, model_type: str, architecture: str) -> dict[str, Any]:
    """The entries that every family of this layout has."""
    encoder = config.encoder
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": encoder.vocabulary,
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


def _stack(attention: AttentionConfig, feed_forward: FeedForwardConfig, layers: int, name: str) -> dict[str, Any]:
    return {
        f"{name}_layers": layers,
        f"{name}_attention_heads": attention.heads,
        f"{name}_ffn_dim": feed_forward.width,
        f"{name}_layerdrop": 0.0,
    }


def read(settings: Mapping[str, Any], *, scaled: bool) -> dict[str, Any]:
    """The entries as options of an EncoderDecoderConfig. scaled: whether the embedding is scaled by default."""
    width = entry(settings, "d_model", int)
    heads, inner = entry(settings, "decoder_attention_heads", int), entry(settings, "decoder_ffn_dim", int)
    for name in ("decoder_attention_heads", "encoder_attention_heads"):
        share(width, entry(settings, name, int), ("d_model", name))
    return {
        "vocabulary": entry(settings, "vocab_size", int),
        "context": entry(settings, "max_position_embeddings", int),
        "layers": entry(settings, "decoder_layers", int),
        "encoder_layers": entry(settings, "encoder_layers", int),
        "width": width,
        "encoder_heads": _other(entry(settings, "encoder_attention_heads", int), heads),
        "encoder_inner": _other(entry(settings, "encoder_ffn_dim", int), inner),
        "attention": AttentionConfig(
            heads=heads, kv_heads=heads, head_width=width // heads, bias=True, out_bias=True, head_norm="none"
        ),
        "feed_forward": FeedForwardConfig(
            kind=word(settings, "activation_function", ACTIVATIONS), width=inner, bias=True
        ),
        "norm": NormConfig(kind="layer", eps=EPS),
        "embedding_scale": math.sqrt(width) if entry(settings, "scale_embedding", bool, scaled) else None,
        "tied": entry(settings, "tie_word_embeddings", bool, True),
        "dropout": entry(settings, "dropout", float, 0.1),
    }


def _other(number: int, usual: int) -> int | None:
    """The number, or None if it is the usual one."""
    return None if number == usual else number


def shared(config: EncoderDecoderConfig) -> list[Row]:
    """The embedding of both stacks, and the output layer."""
    copies = (*(f"{stack}.embed_tokens.weight" for stack in STACKS.values()), *((HEAD,) if config.tied else ()))
    # without tied weights transformers would give each stack a matrix of its own
    rows = [Row("embedding.weight", ("model.shared.weight",), copies=copies, repeats=not config.tied)]
    return rows if config.tied else [*rows, Row("head.weight", (HEAD,))]


def norms(ours: str, theirs: str) -> list[Row]:
    """A norm of each stack."""
    return [
        Row(f"{our}{ours}.{part}", (f"{stack}.{theirs}.{part}",))
        for our, stack in STACKS.items()
        for part in ("weight", "bias")
    ]


def layers(config: EncoderDecoderConfig) -> list[Row]:
    """The layers of both stacks."""
    encoder = _layers(config, config.encoder_layers, "encoder.", LAYER)
    return [*encoder, *_layers(config, config.layers, "", LAYER | CROSS)]


def _layers(config: EncoderDecoderConfig, count: int, ours: str, names: Mapping[str, str]) -> Iterator[Row]:
    joined = {"attention.qkv": [f"self_attn.{each}_proj" for each in "qkv"]}
    joined |= {"cross.kv": [f"encoder_attn.{each}_proj" for each in "kv"]} if names.keys() >= CROSS.keys() else {}
    parts = joined | {name: [one] for name, one in names.items()}
    for layer in range(count):
        for our, their in parts.items():
            for part in ("weight", "bias"):
                rows = (config.width,) * len(their) if len(their) > 1 else ()
                named = tuple(f"{STACKS[ours]}.layers.{layer}.{each}.{part}" for each in their)
                yield Row(f"{ours}blocks.{layer}.{our}.{part}", named, rows)
