"""What BERT, RoBERTa and DistilBERT share: post-norm encoders with LayerNorm, learned positions and biases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clearhead.errors import ConfigError
from clearhead.hub.families import decoder
from clearhead.hub.families.entries import HEADS, entry, share, word
from clearhead.hub.families.table import Row
from clearhead.model import (
    AttentionConfig,
    EncoderConfig,
    FeedForwardConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
)

ACTIVATIONS = {"gelu": "gelu", "gelu-tanh": "gelu_new", "relu": "relu", "silu": "silu", "tanh": "tanh"}

HARMLESS = decoder.HARMLESS | {
    "classifier_dropout",
    "finetuning_task",
    "num_labels",
    "position_embedding_type",  # read; only "absolute" is supported
    "torchscript",
}


@dataclass(frozen=True, kw_only=True)
class TensorNames:
    """A family's module names. ``layer``: a layer's modules, ours to theirs; ``projections``: query, key, value."""

    prefix: str  # of all names but the head's, if there is a head
    embedding: str
    positions: str
    token_types: str
    norm: str  # of the embedding
    layers: str
    layer: Mapping[str, str]
    projections: tuple[str, str, str]
    dense: str  # of the prediction head
    head_norm: str
    output: str  # the output layer
    bias: str  # of the logits
    head: str  # prefix of the head's names
    pooler: str = "pooler.dense"


@dataclass(frozen=True, kw_only=True)
class Entries:
    """A family's names for the sizes in config.json that differ between BERT and DistilBERT."""

    layers: str
    width: str
    heads: str
    inner: str  # of the feed-forward
    activation: str
    dropout: str


def refuses(config: EncoderConfig) -> list[str]:
    """Why this config is not a post-norm encoder of this kind; empty if it is."""
    a, f, why = config.attention, config.feed_forward, list[str]()
    if config.arrangement != "post":
        why.append("its norms stand after each sum")
    if config.norm.kind != "layer" or not config.norm.bias:
        why.append("its norms are LayerNorm with biases")
    if config.positions.kind != "learned":
        why.append("its positions are learned")
    if f.kind not in ACTIVATIONS or not f.bias or f.experts is not None:
        why.append("its feed-forward is one, not gated, and has biases")
    if a.kv_heads != a.heads or a.heads * a.head_width != config.width:
        why.append("its heads share no keys and fill the width")
    elif a != attention(config.width, a.heads) or config.pattern:
        why.append("its attention has biases and nothing else")
    if config.embedding_scale is not None:
        why.append("its embedding is not scaled")
    return why


def settings(names: Entries, config: EncoderConfig) -> dict[str, Any]:
    """The entries of config.json that all three families have."""
    return {
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        names.layers: config.layers,
        names.width: config.width,
        names.heads: config.attention.heads,
        names.inner: config.feed_forward.width,
        names.activation: ACTIVATIONS[config.feed_forward.kind],
        names.dropout: config.dropout,
        "tie_word_embeddings": config.tied,
    }


def config(names: Entries, settings: Mapping[str, Any], *, eps: float, **encoder: Any) -> EncoderConfig:
    """The config of these entries, with a head if they promise one; ``encoder``: other options of EncoderConfig.

    Raises ConfigError naming the entry that is missing or wrong.
    """
    check_absolute(settings)
    width, activation = entry(settings, names.width, int), word(settings, names.activation, ACTIVATIONS)
    head = PredictionConfig(activation=activation) if has_head(settings) else None
    return EncoderConfig(
        vocabulary=entry(settings, "vocab_size", int),
        context=entry(settings, "max_position_embeddings", int),
        layers=entry(settings, names.layers, int),
        width=width,
        attention=attention(width, entry(settings, names.heads, int), (names.width, names.heads)),
        feed_forward=FeedForwardConfig(kind=activation, width=entry(settings, names.inner, int), bias=True),
        norm=NormConfig(kind="layer", eps=eps),
        positions=PositionConfig(kind="learned"),
        arrangement="post",
        prediction=head,
        **encoder,
        tied=entry(settings, "tie_word_embeddings", bool, True),
        dropout=entry(settings, names.dropout, float, 0.1),
    )


def attention(width: int, heads: int, names: tuple[str, str] = HEADS) -> AttentionConfig:
    """Heads that fill the width. Raises ConfigError if they do not divide it."""
    return AttentionConfig(
        heads=heads, kv_heads=heads, head_width=share(width, heads, names), bias=True, out_bias=True, head_norm="none"
    )


def check_absolute(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for relative positions in the attention scores, which some BERTs have."""
    kind = entry(settings, "position_embedding_type", str, "absolute")
    if kind != "absolute":
        raise ConfigError(f"position_embedding_type: {kind!r} is not supported; absolute is")


def has_head(settings: Mapping[str, Any]) -> bool:
    """Whether config.json promises a head that predicts masked tokens; ``fitted`` checks the weights."""
    return any(name.endswith(("ForMaskedLM", "ForPreTraining")) for name in _architectures(settings))


def has_pooler(settings: Mapping[str, Any]) -> bool:
    """Whether config.json promises a pooler; ``fitted`` checks the weights."""
    return not any(name.endswith("ForMaskedLM") for name in _architectures(settings))


def _architectures(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return entry(settings, "architectures", tuple[str, ...] | None, None) or ()


def architecture(model: str, config: EncoderConfig) -> list[str]:
    """``BertForMaskedLM`` with a prediction head, ``BertModel`` without."""
    return [f"{model}ForMaskedLM" if config.prediction is not None else f"{model}Model"]


def fitted(names: TensorNames, config: EncoderConfig, given: Collection[str], head: PredictionConfig) -> EncoderConfig:
    """The config with this head and a pooler if the weights have them."""
    has_head = any(name.startswith(names.head) for name in given)
    pooler = any(name.removeprefix(names.prefix).startswith(names.pooler) for name in given)
    return replace(config, prediction=head if has_head else None, pooler=pooler)


def spelled(names: TensorNames, config: EncoderConfig, name: str) -> str:
    """The name with the prefix if there is a head, without it otherwise, whatever the file does."""
    bare = name.removeprefix(names.prefix)
    roots = {part.partition(".")[0] for part in (names.embedding, names.layers, names.pooler)}
    return _prefix(names, config) + bare if bare.partition(".")[0] in roots else name


def table(names: TensorNames, config: EncoderConfig) -> list[Row]:
    """The table from our tensor names to the family's."""
    base = _prefix(names, config)
    tied = config.tied and config.prediction is not None
    rows = [
        Row(
            "embedding.weight", (f"{base}{names.embedding}.weight",), copies=(f"{names.output}.weight",) if tied else ()
        ),
        Row("positions.weight", (f"{base}{names.positions}.weight",)),
        Row(None, (f"{base}{names.positions.rpartition('.')[0]}.position_ids",)),  # 0, 1, 2, ... as a buffer
    ]
    if config.token_types:
        rows.append(Row("token_types.weight", (f"{base}{names.token_types}.weight",)))
    for part in ("weight", "bias"):
        rows.append(Row(f"embedding_norm.{part}", (f"{base}{names.norm}.{part}",)))
        if config.pooler:
            rows.append(Row(f"pooler.{part}", (f"{base}{names.pooler}.{part}",)))
        for l in range(config.layers):  # noqa: E741 (the layer axis is L)
            theirs = f"{base}{names.layers}.{l}"
            projections = tuple(f"{theirs}.{name}.{part}" for name in names.projections)
            rows.append(Row(f"blocks.{l}.attention.qkv.{part}", projections, (config.width,) * 3))
            rows += [
                Row(f"blocks.{l}.{our}.{part}", (f"{theirs}.{their}.{part}",)) for our, their in names.layer.items()
            ]
    return [*rows, *_head(names, config)]


def _head(names: TensorNames, config: EncoderConfig) -> list[Row]:
    if config.prediction is None:
        return []
    rows = [
        Row(f"prediction.{our}.{part}", (f"{their}.{part}",))
        for our, their in {"dense": names.dense, "norm": names.head_norm}.items()
        for part in ("weight", "bias")
    ]
    weight, bias = f"{names.output}.weight", f"{names.output}.bias"
    if config.tied:
        copied = () if bias == names.bias else (bias,)
        return [*rows, Row("prediction.bias", (names.bias,), copies=copied)]
    if bias != names.bias:
        rows.append(Row(None, (names.bias,)))  # transformers ignores it if the output layer is untied
    return [*rows, Row("head.weight", (weight,)), Row("prediction.bias", (bias,))]


def _prefix(names: TensorNames, config: EncoderConfig) -> str:
    return names.prefix if config.prediction is not None else ""
