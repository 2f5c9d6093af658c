"""Qwen 3 (2025), the shape trained here: RMSNorm, rotary positions, normalised heads, SwiGLU, grouped heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, shown
from clearhead.hub.families.entries import entry, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, FeedForwardConfig, ModelConfig, NormConfig, PositionConfig

MODEL_TYPE: str = "qwen3"
ARCHITECTURE: str = "Qwen3ForCausalLM"
HARMLESS: frozenset[str] = frozenset(
    {
        "architectures",
        "attention_dropout",  # acts in training only
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "initializer_range",
        "max_window_layers",
        "model_type",
        "pad_token_id",
        "rope_theta",  # read where rope_parameters is missing
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)

# Gated activations under the names transformers gives them.
ACTIVATIONS = {
    "swiglu": "silu",
    "reglu": "relu",
    "geglu": "gelu",
    "geglu-tanh": "gelu_pytorch_tanh",
    "glu": "sigmoid",
    "tanhglu": "tanh",
    "bilinear": "linear",
}


def refuses(config: ModelConfig) -> list[str]:
    """Why this config is not a Qwen 3; empty when it is."""
    a, why = config.attention, list[str]()
    if config.norm.kind != "rms":
        why.append("its norms are RMSNorm")
    if config.positions.kind != "rotary":
        why.append("its positions are rotary")
    if config.feed_forward.kind not in ACTIVATIONS or config.feed_forward.bias:
        why.append("its feed-forward is gated and without biases")
    if a.head_norm != "head" or a.softcap is not None:
        why.append("its heads are normalised and not capped")
    if a.bias != a.out_bias:
        why.append("its attention has all biases or none")
    return why


def settings(config: ModelConfig) -> dict[str, Any]:
    """config.json's entries."""
    a = config.attention
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.width,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads,
        "head_dim": a.head_width,
        "attention_bias": a.bias,
        "attention_dropout": 0.0,
        "use_sliding_window": a.window is not None,
        "sliding_window": a.window,
        "layer_types": ["full_attention" if a.window is None else "sliding_attention"] * config.layers,
        "intermediate_size": config.feed_forward.width,
        "hidden_act": ACTIVATIONS[config.feed_forward.kind],
        "rms_norm_eps": config.norm.eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.positions.theta},
        "tie_word_embeddings": config.tied,
    }


def config(settings: Mapping[str, Any]) -> ModelConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    bias = entry(settings, "attention_bias", bool, False)
    return ModelConfig(
        vocabulary=entry(settings, "vocab_size", int),
        context=entry(settings, "max_position_embeddings", int),
        layers=entry(settings, "num_hidden_layers", int),
        width=entry(settings, "hidden_size", int),
        attention=AttentionConfig(
            heads=entry(settings, "num_attention_heads", int),
            kv_heads=entry(settings, "num_key_value_heads", int),
            head_width=entry(settings, "head_dim", int),
            bias=bias,
            out_bias=bias,
            window=_window(settings),
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", ACTIVATIONS), width=entry(settings, "intermediate_size", int)
        ),
        norm=NormConfig(eps=entry(settings, "rms_norm_eps", float)),
        positions=PositionConfig(theta=_theta(settings)),
        tied=entry(settings, "tie_word_embeddings", bool, False),
    )


def _window(settings: Mapping[str, Any]) -> int | None:
    if not entry(settings, "use_sliding_window", bool, False):
        return None
    size = entry(settings, "sliding_window", int)
    first = entry(settings, "max_window_layers", int, 28)  # transformers' default; layer_types goes before it
    if "layer_types" not in settings and first > 0:
        raise ConfigError(
            f"max_window_layers: {first} layers without the window before those with it; one window for all layers is "
            "what is supported"
        )
    return size


def _theta(settings: Mapping[str, Any]) -> float:
    if "rope_parameters" not in settings:
        return entry(settings, "rope_theta", float)  # where transformers before version 5 wrote it
    theta = entry(entry(settings, "rope_parameters", dict), "rope_theta", float)
    if "rope_theta" in settings and settings["rope_theta"] != theta:
        raise ConfigError(f"rope_theta: {shown(settings['rope_theta'])}, but {theta} in rope_parameters")
    return theta


def table(config: ModelConfig) -> list[Row]:
    """Our tensor names beside Qwen 3's."""
    a, f = config.attention, config.feed_forward
    queries, keys = a.heads * a.head_width, a.kv_heads * a.head_width
    rows = [Row("embedding.weight", ("model.embed_tokens.weight",)), Row("norm.weight", ("model.norm.weight",))]
    for l in range(config.layers):  # noqa: E741 (the layer axis is L)
        ours, theirs = f"blocks.{l}", f"model.layers.{l}"
        for part in ("weight", "bias") if a.bias else ("weight",):
            projections = tuple(f"{theirs}.self_attn.{name}_proj.{part}" for name in "qkv")
            rows.append(Row(f"{ours}.attention.qkv.{part}", projections, (queries, keys, keys)))
            rows.append(Row(f"{ours}.attention.out.{part}", (f"{theirs}.self_attn.o_proj.{part}",)))
        gated = (f"{theirs}.mlp.gate_proj.weight", f"{theirs}.mlp.up_proj.weight")
        rows += [
            Row(f"{ours}.attention_norm.weight", (f"{theirs}.input_layernorm.weight",)),
            Row(f"{ours}.attention.head_norm.query", (f"{theirs}.self_attn.q_norm.weight",)),
            Row(f"{ours}.attention.head_norm.key", (f"{theirs}.self_attn.k_norm.weight",)),
            Row(f"{ours}.feed_forward_norm.weight", (f"{theirs}.post_attention_layernorm.weight",)),
            Row(f"{ours}.feed_forward.up.weight", gated, (f.width, f.width)),
            Row(f"{ours}.feed_forward.down.weight", (f"{theirs}.mlp.down_proj.weight",)),
        ]
    return rows if config.tied else [*rows, Row("head.weight", ("lm_head.weight",))]
