"""T5 (Raffel et al. 2020), T5 1.1 and Flan-T5: biases by distance, RMSNorm, no scale on q.k, no other biases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from clearhead.hub.families import decoder
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import (
    FEED_FORWARDS,
    AttentionConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    NormConfig,
    PositionConfig,
)

MODEL_TYPE: str = "t5"
ARCHITECTURE: str = "T5ForConditionalGeneration"
HARMLESS: frozenset[str] = decoder.HARMLESS | {
    "classifier_dropout",  # of other heads
    "decoder_start_token_id",  # of generation
    "initializer_factor",
}
PROJECTIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu-tanh": "gelu_new",
    "silu": "silu",
    "tanh": "tanh",
    "geglu-tanh": "gated-gelu",  # its GELU is tanh's
    "reglu": "gated-relu",
    "swiglu": "gated-silu",
}
CONTEXT = 512  # tokens of the texts of the first training; newer files leave it out, as biases by distance set no limit
HEAD = "lm_head.weight"

SELF, FED = "layer.0", {"encoder": "layer.1", "decoder": "layer.2"}


def settings(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    a, f = config.attention, config.feed_forward
    projection = decoder.spelt(f.kind, PROJECTIONS)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocabulary,
        "n_positions": config.context,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.layers,
        "d_model": config.width,
        "num_heads": a.heads,
        "d_kv": a.head_width,
        "d_ff": f.width,
        "feed_forward_proj": projection,
        "dense_act_fn": "gelu_new" if projection == "gated-gelu" else projection.removeprefix("gated-"),
        "is_gated_act": FEED_FORWARDS[f.kind][1],
        "layer_norm_epsilon": config.norm.eps,
        "relative_attention_num_buckets": config.positions.buckets,
        "relative_attention_max_distance": config.positions.distance,
        "dropout_rate": config.dropout,
        "scale_decoder_outputs": config.output_scale is not None,
        "tie_word_embeddings": config.tied,
        "is_encoder_decoder": True,
        "is_decoder": False,
    }


def config(settings: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong.

    Files of transformers before version 5 say only whether the output layer is tied, and then its inputs are scaled.
    """
    tied = entry(settings, "tie_word_embeddings", bool, True)
    scaled = entry(settings, "scale_decoder_outputs", bool, tied)
    return read({"feed_forward_proj": "relu", **settings}, tied=tied, scaled=scaled)


def read(settings: Mapping[str, Any], *, tied: bool, scaled: bool) -> EncoderDecoderConfig:
    """As ``config``, given how the output layer differs between T5 and mT5."""
    width, heads = entry(settings, "d_model", int), entry(settings, "num_heads", int)
    layers, own = entry(settings, "num_layers", int), entry(settings, "num_decoder_layers", int | None, None)
    return EncoderDecoderConfig(
        vocabulary=entry(settings, "vocab_size", int),
        context=entry(settings, "n_positions", int, CONTEXT),
        layers=layers if own is None else own,
        encoder_layers=layers,
        width=width,
        attention=AttentionConfig(
            heads=heads, kv_heads=heads, head_width=entry(settings, "d_kv", int), head_norm="none", scale=1.0
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "feed_forward_proj", PROJECTIONS), width=entry(settings, "d_ff", int)
        ),
        norm=NormConfig(eps=entry(settings, "layer_norm_epsilon", float, 1e-6)),
        positions=PositionConfig(
            kind="relative",
            buckets=entry(settings, "relative_attention_num_buckets", int, 32),
            distance=entry(settings, "relative_attention_max_distance", int, 128),
        ),
        output_scale=width**-0.5 if scaled else None,
        tied=tied,
        dropout=entry(settings, "dropout_rate", float, 0.1),
    )


def fitted(config: EncoderDecoderConfig, names: Collection[str]) -> EncoderDecoderConfig:
    """The config with an output layer of its own if the file has one.

    Version 5 of transformers says of every file that the layer is tied. With scaled inputs it always is.
    """
    return replace(config, tied=config.tied and (HEAD not in names or config.output_scale is not None))


def table(config: EncoderDecoderConfig) -> list[Row]:
    """The table from our tensor names to T5's."""
    copies = tuple(f"{stack}.embed_tokens.weight" for stack in FED)
    rows = [
        Row("embedding.weight", ("shared.weight",), copies=(*copies, HEAD) if config.tied else copies),
        Row(None, ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)),  # of the first files
    ]
    for ours, stack, layers in (("encoder.", "encoder", config.encoder_layers), ("", "decoder", config.layers)):
        bias = f"{stack}.block.0.{SELF}.SelfAttention.relative_attention_bias.weight"
        rows += [
            Row(f"{ours}relative.weight", (bias,), transposed=True),
            Row(f"{ours}norm.weight", (f"{stack}.final_layer_norm.weight",)),
        ]
        for layer in range(layers):
            rows += _layer(config, f"{ours}blocks.{layer}", f"{stack}.block.{layer}", FED[stack], cross=not ours)
    return rows if config.tied else [*rows, Row("head.weight", (HEAD,))]


def _layer(config: EncoderDecoderConfig, ours: str, theirs: str, fed: str, *, cross: bool) -> list[Row]:
    sizes, own = config.attention.projections, f"{theirs}.{SELF}.SelfAttention"
    halves = config.feed_forward.halves
    inner = ("wi_0", "wi_1") if len(halves) == 2 else ("wi",)
    rows = [
        Row(f"{ours}.attention_norm.weight", (f"{theirs}.{SELF}.layer_norm.weight",)),
        Row(f"{ours}.attention.qkv.weight", tuple(f"{own}.{name}.weight" for name in "qkv"), sizes),
        Row(f"{ours}.attention.out.weight", (f"{own}.o.weight",)),
        Row(f"{ours}.feed_forward_norm.weight", (f"{theirs}.{fed}.layer_norm.weight",)),
        Row(
            f"{ours}.feed_forward.up.weight",
            tuple(f"{theirs}.{fed}.DenseReluDense.{name}.weight" for name in inner),
            halves if len(halves) == 2 else (),
        ),
        Row(f"{ours}.feed_forward.down.weight", (f"{theirs}.{fed}.DenseReluDense.wo.weight",)),
    ]
    if cross:
        other = f"{theirs}.layer.1.EncDecAttention"
        rows += [
            Row(f"{ours}.cross_norm.weight", (f"{theirs}.layer.1.layer_norm.weight",)),
            Row(f"{ours}.cross.query.weight", (f"{other}.q.weight",)),
            Row(f"{ours}.cross.kv.weight", tuple(f"{other}.{name}.weight" for name in "kv"), sizes[1:]),
            Row(f"{ours}.cross.out.weight", (f"{other}.o.weight",)),
        ]
    return rows


refuses = decoder.refusing(MODEL_TYPE, settings, config)
