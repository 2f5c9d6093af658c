"""ModernBERT (Warner et al. 2024): norms before each part, rotary positions, GeGLU, a band in most layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import bertlike
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import (
    EncoderConfig,
    FeedForwardConfig,
    LayerConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
)
from clearhead.model.config import LAYERS_AT_MOST

MODEL_TYPE: str = "modernbert"
ARCHITECTURE: str = "ModernBertForMaskedLM"
HARMLESS: frozenset[str] = bertlike.HARMLESS | {
    "attention_dropout",  # this and other dropouts act in training only
    "classifier_pooling",  # of classification heads, which have tensors of their own
    "cls_token_id",
    "deterministic_flash_attn",
    "embedding_dropout",
    "initializer_cutoff_factor",
    "layer_norm_eps",  # only norm_eps is read
    "mlp_dropout",
    "reference_compile",
    "repad_logits_with_grad",
    "sep_token_id",
    "sparse_pred_ignore_index",  # this and the next concern training
    "sparse_prediction",
}
GATED = {"geglu": "gelu", "geglu-tanh": "gelu_pytorch_tanh", "swiglu": "silu", "reglu": "relu"}
WHOLE, BAND = "full_attention", "sliding_attention"
THETAS = {WHOLE: 160_000.0, BAND: 10_000.0}  # unless given
OLD_THETAS = {WHOLE: "global_rope_theta", BAND: "local_rope_theta"}  # as transformers before version 5 wrote them
RHYTHM = "global_attn_every_n_layers"  # the older form of layer_types


def refuses(config: EncoderConfig) -> list[str]:
    """Why this config is not a ModernBERT; empty if it is."""
    a = config.attention
    if config.arrangement != "pre" or config.norm.kind != "layer":
        return ["its norms are LayerNorm before each part"]
    if config.feed_forward.kind not in GATED or config.positions.kind != "rotary":
        return ["its feed-forward is gated and its positions are rotary"]
    if a.kv_heads != a.heads or a.heads * a.head_width != config.width:
        return ["its heads share no keys and fill the width"]
    head = config.prediction
    if head is not None and head.activation not in bertlike.ACTIVATIONS:
        return ["its head has an activation without a gate"]
    described = _config(settings(config), head is not None)
    if head is None:
        described = replace(described, tied=config.tied)
    if described != replace(config, dropout=0.0, pattern=config.kinds, attention=replace(a, window=None)):
        return ["its layers see all tokens or one band of them, each kind with its own theta, and it has nothing else"]
    return []


def settings(config: EncoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    head = config.prediction or PredictionConfig(bias=False)
    kinds = {BAND if kind.window else WHOLE: kind for kind in config.kinds}
    window = kinds[BAND].window if BAND in kinds else None
    return {
        "architectures": bertlike.architecture("ModernBert", config),
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.width,
        "num_attention_heads": config.attention.heads,
        "intermediate_size": config.feed_forward.width,
        "hidden_activation": GATED[config.feed_forward.kind],
        "norm_eps": config.norm.eps,
        "norm_bias": config.norm.bias,
        "attention_bias": config.attention.bias,
        "mlp_bias": config.feed_forward.bias,
        "classifier_bias": head.bias,
        "classifier_activation": bertlike.ACTIVATIONS[head.activation],
        "decoder_bias": head.output_bias,
        "layer_types": [BAND if kind.window else WHOLE for kind in config.kinds],
        "local_attention": 128 if window is None else 2 * (window - 1),
        "rope_parameters": {
            name: {"rope_type": "default", "rope_theta": _theta_of(config, kinds[name]) if name in kinds else theta}
            for name, theta in THETAS.items()
        },
        "tie_word_embeddings": config.tied,
    }


def _theta_of(config: EncoderConfig, kind: LayerConfig) -> float:
    return (kind.positions or config.positions).theta


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names. Raises ConfigError naming the entry that is wrong."""
    layers, old = entry(settings, "num_hidden_layers", int), {RHYTHM, *OLD_THETAS.values()}
    today = {name: value for name, value in settings.items() if name not in old}
    if today.get("layer_types") is None:
        every = entry(settings, RHYTHM, int, 3)
        if every < 1 or not 1 <= layers <= LAYERS_AT_MOST:
            raise ConfigError(f"{RHYTHM}: every {every}th of {layers} layers; both must be at least 1")
        today["layer_types"] = [BAND if layer % every else WHOLE for layer in range(layers)]
    if today.get("rope_parameters") is None:
        thetas = {kind: entry(settings, name, float, THETAS[kind]) for kind, name in OLD_THETAS.items()}
        today["rope_parameters"] = {kind: {"rope_type": "default", "rope_theta": t} for kind, t in thetas.items()}
    if BAND not in entry(today, "layer_types", tuple[str, ...]):
        today.pop("local_attention", None)  # without effect
    return today


def config(settings: Mapping[str, Any]) -> EncoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    return _config(settings, bertlike.has_head(settings))


def _config(settings: Mapping[str, Any], has_head: bool) -> EncoderConfig:
    bertlike.check_absolute(settings)
    width, layers = entry(settings, "hidden_size", int), entry(settings, "num_hidden_layers", int)
    attention = bertlike.attention(width, entry(settings, "num_attention_heads", int))
    bias = entry(settings, "attention_bias", bool, False)
    return EncoderConfig(
        vocabulary=entry(settings, "vocab_size", int),
        context=entry(settings, "max_position_embeddings", int),
        layers=layers,
        width=width,
        attention=replace(attention, bias=bias, out_bias=bias),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_activation", GATED),
            width=entry(settings, "intermediate_size", int),
            bias=entry(settings, "mlp_bias", bool, False),
        ),
        norm=NormConfig(
            kind="layer", eps=entry(settings, "norm_eps", float, 1e-5), bias=entry(settings, "norm_bias", bool, False)
        ),
        positions=PositionConfig(theta=_theta(settings, WHOLE)),
        pattern=_pattern(settings, layers),
        prediction=_head(settings) if has_head else None,
        tied=entry(settings, "tie_word_embeddings", bool, True),
    )


def _head(settings: Mapping[str, Any]) -> PredictionConfig:
    return PredictionConfig(
        activation=word({"classifier_activation": "gelu", **settings}, "classifier_activation", bertlike.ACTIVATIONS),
        bias=entry(settings, "classifier_bias", bool, False),
        output_bias=entry(settings, "decoder_bias", bool, True),
    )


def _pattern(settings: Mapping[str, Any], layers: int) -> tuple[LayerConfig, ...]:
    types = entry(settings, "layer_types", tuple[str, ...])
    if len(types) != layers or not set(types) <= THETAS.keys():
        raise ConfigError(f"layer_types: {shown(types)} for {layers} layers; each is {WHOLE} or {BAND}")
    # local_attention counts both sides, without the token itself.
    band = LayerConfig(
        window=entry(settings, "local_attention", int, 128) // 2 + 1,
        positions=PositionConfig(theta=_theta(settings, BAND)),
    )
    return tuple(band if kind == BAND else LayerConfig() for kind in types)


def _theta(settings: Mapping[str, Any], kind: str) -> float:
    rotary = cast(Mapping[str, Any], entry(entry(settings, "rope_parameters", dict), kind, dict, {}))
    if rotary.get("rope_type", "default") != "default":
        raise ConfigError(f"rope_parameters: {shown(rotary)} for {kind}; only rope_type 'default' is supported")
    return entry(rotary, "rope_theta", float, THETAS[kind])


def spelled(config: EncoderConfig, name: str) -> str:
    """The table's name for a tensor of a file."""
    bare = name.removeprefix("model.")
    return _prefix(config) + bare if bare.partition(".")[0] in {"embeddings", "layers", "final_norm"} else name


def table(config: EncoderConfig) -> list[Row]:
    """The table from our tensor names to ModernBERT's."""
    base, biases = _prefix(config), ("bias",) if config.norm.bias else ()
    rows = [*_head_rows(config)]
    norms = {"embedding_norm": "embeddings.norm", "norm": "final_norm"}
    modules: dict[str, str] = {}
    for l in range(config.layers):  # noqa: E741 (the layer axis is L)
        ours, theirs = f"blocks.{l}", f"layers.{l}"
        norms[f"{ours}.feed_forward_norm"] = f"{theirs}.mlp_norm"
        if l:
            norms[f"{ours}.attention_norm"] = f"{theirs}.attn_norm"
        modules |= {f"{ours}.attention.qkv": f"{theirs}.attn.Wqkv", f"{ours}.attention.out": f"{theirs}.attn.Wo"}
        modules |= {f"{ours}.feed_forward.up": f"{theirs}.mlp.Wi", f"{ours}.feed_forward.down": f"{theirs}.mlp.Wo"}
    for ours, theirs in norms.items():
        rows += [Row(f"{ours}.{part}", (f"{base}{theirs}.{part}",)) for part in ("weight", *biases)]
    for ours, theirs in modules.items():
        biased = config.attention.bias if ".attention." in ours else config.feed_forward.bias
        rows += [Row(f"{ours}.{part}", (f"{base}{theirs}.{part}",)) for part in ("weight", "bias")[: 1 + biased]]
    return rows


def _head_rows(config: EncoderConfig) -> list[Row]:
    head, ours = config.prediction, "prediction"
    theirs = f"{_prefix(config)}embeddings.tok_embeddings.weight"
    if head is None:
        return [Row("embedding.weight", (theirs,))]
    rows = [Row("embedding.weight", (theirs,), copies=("decoder.weight",) if config.tied else ())]
    rows += [Row(f"{ours}.dense.{part}", (f"head.dense.{part}",)) for part in ("weight", "bias")[: 1 + head.bias]]
    rows += [Row(f"{ours}.norm.{part}", (f"head.norm.{part}",)) for part in ("weight", "bias")[: 1 + config.norm.bias]]
    if head.output_bias:
        rows.append(Row(f"{ours}.bias", ("decoder.bias",)))
    return rows if config.tied else [*rows, Row("head.weight", ("decoder.weight",))]


def _prefix(config: EncoderConfig) -> str:
    return "model." if config.prediction is not None else ""
