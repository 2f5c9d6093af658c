"""GPT-2 (Radford et al. 2019): LayerNorm, learned positions, GELU, biases everywhere, weights as (in, out)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder
from clearhead.hub.families.entries import entry, share, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig, PositionConfig

MODEL_TYPE: str = "gpt2"
ARCHITECTURE: str = "GPT2LMHeadModel"
HARMLESS: frozenset[str] = decoder.HARMLESS | {
    "attn_pdrop",  # acts in training only
    "embd_pdrop",  # acts in training only
    "n_ctx",
    "n_special",
    "predict_special_tokens",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
}

ACTIVATIONS = {"gelu-tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "silu": "silu", "tanh": "tanh"}


def spelled(config: DecoderConfig, name: str) -> str:
    """In the first releases, names lack the prefix ``transformer.``."""
    return f"transformer.{name}" if name.startswith(("wte.", "wpe.", "h.", "ln_f.")) else name


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocabulary,
        "n_positions": config.context,
        "n_layer": config.layers,
        "n_embd": config.width,
        "n_head": config.attention.heads,
        "n_inner": config.feed_forward.width,
        "activation_function": decoder.spelt(config.feed_forward.kind, ACTIVATIONS),
        "layer_norm_epsilon": config.norm.eps,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "add_cross_attention": False,
        "tie_word_embeddings": config.tied,
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    width, heads = entry(settings, "n_embd", int), entry(settings, "n_head", int)
    inner = entry(settings, "n_inner", int | None, None)
    return DecoderConfig(
        vocabulary=entry(settings, "vocab_size", int),
        context=entry(settings, "n_positions", int),
        layers=entry(settings, "n_layer", int),
        width=width,
        attention=AttentionConfig(
            heads=heads,
            kv_heads=heads,
            head_width=share(width, heads, ("n_embd", "n_head")),
            bias=True,
            out_bias=True,
            head_norm="none",
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "activation_function", ACTIVATIONS),
            width=4 * width if inner is None else inner,
            bias=True,
        ),
        norm=NormConfig(kind="layer", eps=entry(settings, "layer_norm_epsilon", float)),
        positions=PositionConfig(kind="learned"),
        tied=entry(settings, "tie_word_embeddings", bool, True),
        dropout=entry(settings, "resid_pdrop", float, 0.1),
    )


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to GPT-2's."""
    copies = ("lm_head.weight",) if config.tied else ()
    rows = [
        Row("embedding.weight", ("transformer.wte.weight",), copies=copies),
        Row("positions.weight", ("transformer.wpe.weight",)),
    ]
    buffers = ("attn.bias", "attn.masked_bias")  # the causal mask and its fill value, in older files
    rows += [Row(None, (f"transformer.h.{l}.{name}",)) for l in range(config.layers) for name in buffers]  # noqa: E741
    modules = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.out": "attn.c_proj",
        "feed_forward_norm": "ln_2",
        "feed_forward.up": "mlp.c_fc",
        "feed_forward.down": "mlp.c_proj",
    }
    for part in ("weight", "bias"):
        rows.append(Row(f"norm.{part}", (f"transformer.ln_f.{part}",)))
        for l in range(config.layers):  # noqa: E741 (the layer axis is L)
            for ours, theirs in modules.items():
                transposed = part == "weight" and not theirs.startswith("ln")
                rows.append(Row(f"blocks.{l}.{ours}.{part}", (f"transformer.h.{l}.{theirs}.{part}",), (), transposed))
    return rows if config.tied else [*rows, Row("head.weight", ("lm_head.weight",))]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
