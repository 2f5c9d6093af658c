"""GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023): attention and feed-forward read the same input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.hub.families import decoder, rope
from clearhead.hub.families.entries import entry, share, word
from clearhead.hub.families.table import Row
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, NormConfig

MODEL_TYPE: str = "gpt_neox"
ARCHITECTURE: str = "GPTNeoXForCausalLM"
HARMLESS: frozenset[str] = decoder.HARMLESS | {
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "hidden_dropout_prob",
    "is_decoder",
}
ACTIVATIONS = {"gelu": "gelu", "gelu-tanh": "gelu_new", "relu": "relu", "silu": "silu", "tanh": "tanh"}


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under today's names."""
    names = {"rotary_emb_base": "rope_theta", "rotary_pct": "partial_rotary_factor"}
    found = rope.modern({names.get(name, name): value for name, value in settings.items()})
    if found.get("hidden_act") == "gelu_fast":  # the same function (20B)
        found["hidden_act"] = ACTIVATIONS["gelu-tanh"]
    return found


def spelled(config: DecoderConfig, name: str) -> str:
    """In a model saved without its output layer, names lack the prefix ``gpt_neox.``."""
    return f"gpt_neox.{name}" if name.startswith(("embed_in.", "layers.", "final_layer_norm.")) else name


def settings(config: DecoderConfig) -> dict[str, Any]:
    """config.json's entries."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "num_hidden_layers": config.layers,
        "hidden_size": config.width,
        "num_attention_heads": config.attention.heads,
        "intermediate_size": config.feed_forward.width,
        "hidden_act": decoder.spelt(config.feed_forward.kind, ACTIVATIONS),
        "layer_norm_eps": config.norm.eps,
        "use_parallel_residual": config.arrangement == "parallel",
        "attention_bias": config.attention.bias,
        "attention_dropout": 0.0,
        "hidden_dropout": config.dropout,
        "rope_parameters": rope.written(config.positions, partial=True),
        "tie_word_embeddings": config.tied,
    }


def config(settings: Mapping[str, Any]) -> DecoderConfig:
    """The config of config.json's entries. Raises ConfigError naming the entry that is missing or wrong."""
    sizes, bias = decoder.read_sizes(settings, tied=False), entry(settings, "attention_bias", bool, True)
    width, heads = sizes["width"], entry(settings, "num_attention_heads", int)
    return DecoderConfig(
        **sizes,
        arrangement="parallel" if entry(settings, "use_parallel_residual", bool, True) else "pre",
        attention=AttentionConfig(
            heads=heads, kv_heads=heads, head_width=share(width, heads), bias=bias, out_bias=bias, head_norm="none"
        ),
        feed_forward=FeedForwardConfig(
            kind=word(settings, "hidden_act", ACTIVATIONS), width=entry(settings, "intermediate_size", int), bias=True
        ),
        norm=NormConfig(kind="layer", eps=entry(settings, "layer_norm_eps", float, 1e-5)),
        positions=rope.read(entry(settings, "rope_parameters", dict, {}), context=sizes["context"], rotated=0.25),
        dropout=entry(settings, "hidden_dropout", float, 0.0),
    )


MODULES = {
    "attention_norm": "input_layernorm",
    "attention.out": "attention.dense",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.up": "mlp.dense_h_to_4h",
    "feed_forward.down": "mlp.dense_4h_to_h",
}
BUFFERS = ("bias", "masked_bias", "rotary_emb.inv_freq")  # a mask and frequencies, in older files


def table(config: DecoderConfig) -> list[Row]:
    """The table from our tensor names to GPT-NeoX's."""
    copies = ("embed_out.weight",) if config.tied else ()
    rows = [Row("embedding.weight", ("gpt_neox.embed_in.weight",), copies=copies)]
    for part in ("weight", "bias"):
        rows.append(Row(f"norm.{part}", (f"gpt_neox.final_layer_norm.{part}",)))
        for l in range(config.layers):  # noqa: E741 (the layer axis is L)
            ours, theirs = f"blocks.{l}", f"gpt_neox.layers.{l}"
            if part == "weight":
                rows += [Row(None, (f"{theirs}.attention.{name}",)) for name in BUFFERS]
            free = () if part == "weight" or config.attention.bias else ("attention.out",)
            rows += [
                Row(f"{ours}.{our}.{part}", (f"{theirs}.{their}.{part}",))
                for our, their in MODULES.items()
                if our not in free
            ]
            if part == "weight" or config.attention.bias:
                joined = (f"{theirs}.attention.query_key_value.{part}",)
                rows.append(Row(f"{ours}.attention.qkv.{part}", joined, heads=config.attention.heads))
    return rows if config.tied else [*rows, Row("head.weight", ("embed_out.weight",))]


refuses = decoder.refusing(MODEL_TYPE, settings, config)
