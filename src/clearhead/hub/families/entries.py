"""Reads the entries of a config.json and checks their types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, nearest, shown
from clearhead.model.parts.config import SIZE_AT_MOST
from clearhead.plain import checked

_NONE = object()
# Sizes, by the names of all families. They are checked here, so that an error has the name in the file and not that of
# a field of our config.
SIZES = frozenset(
    {
        "d_ff", "d_kv", "d_model", "decoder_attention_heads", "decoder_ffn_dim", "decoder_layers", "dim",
        "encoder_attention_heads", "encoder_ffn_dim", "encoder_layers", "head_dim", "hidden_dim", "hidden_size",
        "intermediate_size", "max_position_embeddings", "moe_intermediate_size", "n_embd", "n_head", "n_heads",
        "n_inner", "n_layer", "n_layers", "n_positions", "num_attention_heads", "num_decoder_layers", "num_experts",
        "num_experts_per_tok", "num_heads", "num_hidden_layers", "num_key_value_heads", "num_layers",
        "num_local_experts", "vocab_size",
    }
)  # fmt: skip
EPSILONS = frozenset({"layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps"})
HEADS = ("hidden_size", "num_attention_heads")


def entry(settings: Mapping[str, Any], name: str, kind: Any, default: Any = _NONE) -> Any:
    """The setting, checked to be a ``kind`` (a type, as in a config's field).

    Raises ConfigError if it is missing, of another type, or a size out of range.
    """
    if name in settings:
        value = checked(kind, settings[name], name)
        if name in SIZES and value is not None and not 1 <= value <= SIZE_AT_MOST:
            raise ConfigError(f"{name}: {shown(value)}; it must be at least 1 and at most {SIZE_AT_MOST:,}")
        if name in EPSILONS and value is not None and value <= 0:
            raise ConfigError(f"{name}: {value}; it must be above 0")
        return value
    if default is _NONE:
        raise ConfigError(f"the setting {name} is missing")
    return default


def word(settings: Mapping[str, Any], name: str, ours: Mapping[str, str]) -> str:
    """Our word for a setting; ``ours`` maps our words to theirs. Raises ConfigError for an unknown one."""
    theirs = entry(settings, name, str)
    found = next((our for our, their in ours.items() if their == theirs), None)
    if found is None:
        raise ConfigError(f"{name}: {shown(theirs)} is not supported{nearest(theirs, ours.values())}")
    return found


def groups(heads: int, kv_heads: int) -> int:
    """``kv_heads``, checked to divide ``heads``. Raises ConfigError if it does not."""
    if heads % kv_heads:
        raise ConfigError(
            f"num_key_value_heads: {kv_heads} for num_attention_heads {heads}; the former must divide the latter"
        )
    return kv_heads


def share(width: int, heads: int, names: tuple[str, str] = HEADS) -> int:
    """The width of each of ``heads`` heads that fill ``width``. Raises ConfigError if they do not divide it."""
    if heads < 1 or width % heads:
        raise ConfigError(f"{names[1]}: {heads} heads for {names[0]} {width}; the heads must divide the width")
    return width // heads
