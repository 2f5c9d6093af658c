"""llama.cpp's architectures beside our families: metadata as a config.json's entries, and names of tensors.

What an architecture of llama.cpp computes follows from its code (src/models in its repository); what its files say,
from its convert_hf_to_gguf.py. Sizes, epsilons and thetas are in the file; activations, patterns of windows and scales
of queries are fixed, so a model with others cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import Family, decoder, gemma2, gemma3_text, gpt2, llama, qwen2, qwen3
from clearhead.hub.families.table import Row, Shape
from clearhead.hub.gguf.library import library
from clearhead.model import DecoderConfig, PositionConfig, ScalingConfig
from clearhead.model.parts.scaling import rates

LAYERS = "num_hidden_layers"
SIZES = {
    "max_position_embeddings": "context_length",
    LAYERS: "block_count",
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "intermediate_size": "feed_forward_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
GPT2_SIZES = {
    "n_positions": "context_length",
    "n_layer": "block_count",
    "n_embd": "embedding_length",
    "n_head": "attention.head_count",
    "n_inner": "feed_forward_length",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}
ROPE = {"theta": "rope.freq_base", "scaling": "rope.scaling.type", "factor": "rope.scaling.factor"}
# Entries that repeat others here, with the entry they must agree with.
REPEATED = {
    "attention.value_length": "attention.key_length",
    "rope.dimension_count": "attention.key_length",
    "attention.head_count_kv": "attention.head_count",  # GPT-2's files have it too
}
HARMLESS = {"vocab_size"}  # the embedding's rows say it
LOCAL = "rope.freq_base_swa"  # theta in windows
EMBEDDING, OUTPUT, FACTORS = "token_embd.weight", "output.weight", "rope_freqs.weight"

Metadata = Mapping[str, Any]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True, kw_only=True, eq=False)
class Architecture:
    """One of llama.cpp's. Keys of metadata are without its name in front.

    family: whose config.json its metadata are translated to
    keys: entries of config.json and the keys that hold them
    fixed: entries of config.json that follow from the architecture and the sizes, and from which tensors there are
    rotary: whether positions are rotary; local: theta in windows, where that differs
    swapped: pairs of a head's rotation lie side by side, where ours (and transformers') are half a head apart
    offset: what is added to norms: its RMSNorm multiplies by w where the family's does by 1 + w
    """

    name: str
    family: Family[DecoderConfig]
    keys: Mapping[str, str]
    fixed: Callable[[Mapping[str, Any], Shapes], Mapping[str, Any]]
    rotary: bool = True
    local: float | None = None
    swapped: bool = False
    offset: float = 0.0

    def written(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata for the entries of a config.json, as far as there are keys for them; see ``refuses``."""
        found = {key: settings[name] for name, key in self.keys.items() if settings.get(name) is not None}
        if not self.rotary:
            return found
        tables = settings["rope_parameters"]
        rope = tables if self.local is None else tables[decoder.FULL]
        width = found["attention.key_length"]
        found |= {"attention.value_length": width, "rope.dimension_count": width, ROPE["theta"]: rope["rope_theta"]}
        if rope["rope_type"] == "linear":
            found |= {ROPE["scaling"]: "linear", ROPE["factor"]: float(rope["factor"])}
        return found

    def settings(self, metadata: Metadata, shapes: Shapes, factors: Tensor | None = None) -> dict[str, Any]:
        """The entries of a config.json for a file's metadata. factors: the numbers of its rope_freqs.weight.

        Raises ConfigError for an entry that is missing, or not supported.
        """
        found = {name: _single(metadata, key) for name, key in self.keys.items() if key in metadata}
        if self.local is not None and metadata.get(LOCAL) == self.local:
            metadata = {key: value for key, value in metadata.items() if key != LOCAL}
        known = {*self.keys.values(), *(ROPE.values() if self.rotary else ()), *REPEATED, *HARMLESS}
        for key in metadata:
            if key not in known:
                raise ConfigError(f"the entry {self.name}.{key} = {shown(metadata[key])} is not supported")
        if "head_dim" in self.keys and "head_dim" not in found:
            width, heads = found.get("hidden_size"), found.get("num_attention_heads")
            if isinstance(width, int) and isinstance(heads, int) and heads > 0:
                found["head_dim"] = width // heads
        if "num_key_value_heads" in self.keys:
            found.setdefault("num_key_value_heads", found.get("num_attention_heads"))
        own = {key: found.get(name) for name, key in self.keys.items()}
        own.setdefault("attention.key_length", _share(found))
        for key, of in REPEATED.items():
            if key in metadata and key not in self.keys.values() and _single(metadata, key) != own.get(of):
                raise ConfigError(
                    f"{self.name}.{key} is {shown(metadata[key])}; only {shown(own.get(of))} is supported, as {of}"
                )
        if EMBEDDING not in shapes:
            raise ConfigError(f"the tensor {EMBEDDING} is missing")
        found["vocab_size"] = shapes[EMBEDDING][0]
        found["tie_word_embeddings"] = OUTPUT not in shapes
        if self.rotary:
            found["rope_parameters"] = self._rope(metadata, factors)
        elif factors is not None:
            raise ConfigError(f"{FACTORS} is not supported by the architecture {self.name}")
        return {"model_type": self.family.MODEL_TYPE, **found, **self.fixed(found, shapes)}

    def _rope(self, metadata: Metadata, factors: Tensor | None) -> dict[str, Any]:
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": metadata.get(ROPE["theta"], 10_000.0)}
        kind = metadata.get(ROPE["scaling"], "none")
        if kind == "linear":
            rope |= {"rope_type": "linear", "factor": metadata.get(ROPE["factor"])}
        elif kind != "none":
            raise ConfigError(f"{self.name}.{ROPE['scaling']} is {shown(kind)}; none and linear are supported")
        if factors is not None:
            rope |= _llama3(factors, rope["rope_theta"])
        if self.local is None:
            return rope
        return {decoder.FULL: rope, decoder.SLIDING: {"rope_type": "default", "rope_theta": self.local}}

    def refuses(self, config: DecoderConfig) -> list[str]:
        """Why llama.cpp's architecture cannot express a config; empty if it can.

        It is written and read back: whatever differs then has no place in the file.
        """
        own = self.family.refuses(config)
        if own:
            return own
        shapes = self.shapes(config)
        factors = rope_factors(config) if self.rotary and self.name == "llama" else None

        def back(config: DecoderConfig) -> dict[str, Any]:
            return self.settings(_stored(self.written(self.family.settings(config))), shapes, factors)

        return decoder.refusing(f"llama.cpp's {self.name}", back, self.family.config)(config)

    def names(self, table: Iterable[Row], layers: int) -> dict[str, str]:
        """Their names in the file, by the family's names. Raises ConfigError for one that has no place in it."""
        gguf = library()
        known = gguf.get_tensor_name_map(gguf.MODEL_ARCH[self.name.upper()], layers)
        found: dict[str, str] = {}
        for row in table:
            for name in row.theirs if row.ours is not None else ():
                place = known.get_name(name, try_suffixes=(".weight", ".bias"))
                if place is None:
                    raise ConfigError(f"llama.cpp's {self.name} has no place for {name}")
                found[name] = place
        return found

    def shapes(self, config: DecoderConfig) -> Shapes:
        """A shape for each tensor in the file; only the embedding's is true, since no other is used."""
        names = self.names(self.family.table(config), config.layers)
        return dict.fromkeys(names.values(), (config.vocabulary, config.width))


def _single(metadata: Metadata, key: str) -> Any:
    """An entry; of a list by layer, the number that all layers share. Raises ConfigError if they differ."""
    value = metadata[key]
    if isinstance(value, np.ndarray):
        if not len(value) or (value != value[0]).any():
            raise ConfigError(f"{key} differs between layers, which is not supported")
        return value[0].item()
    return value


def _share(found: Mapping[str, Any]) -> int | None:
    width, heads = found.get("n_embd"), found.get("n_head")
    return width // heads if isinstance(width, int) and isinstance(heads, int) and heads > 0 else None


def _stored(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as a file keeps them: fractions in float32."""
    return {key: float(str(np.float32(each))) if isinstance(each, float) else each for key, each in metadata.items()}


def rope_factors(config: DecoderConfig) -> Tensor | None:
    """What angles are divided by, [D / 2]: rope_freqs.weight in Llama 3's files. None without such scaling."""
    scaling = config.positions.scaling
    if scaling is None or scaling.kind != "llama3":
        return None
    return _factors(config.positions, config.attention.head_width)


def _factors(positions: PositionConfig, width: int) -> Tensor:
    plain_J, scaled_J = (rates(each, width, long=False)[0] for each in (replace(positions, scaling=None), positions))
    return plain_J / scaled_J


def _llama3(factors_J: Tensor, theta: Any) -> dict[str, Any]:
    """Llama 3's scaling. The file lacks its settings: those of the releases, if they give the same factors."""
    most = float(factors_J.max())
    rope = {"factor": most, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    if isinstance(theta, float) and theta > 0 and np.isfinite(most) and most > 1:
        scaling = ScalingConfig(kind="llama3", factor=most, low=1.0, high=4.0, original=8192)
        expected_J = _factors(PositionConfig(theta=theta, scaling=scaling), 2 * len(factors_J))
        if torch.allclose(expected_J, factors_J, rtol=1e-4):
            return {"rope_type": "llama3", **rope}
    raise ConfigError(f"{FACTORS} has other numbers than Llama 3's releases, which alone are supported")


def _llama(found: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    biased = "blk.0.attn_q.bias" in shapes
    return {"hidden_act": "silu", "attention_bias": biased, "mlp_bias": "blk.0.ffn_up.bias" in shapes}


def _qwen(found: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    return {"hidden_act": "silu", "use_sliding_window": False}


def _gpt2(found: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    return {"activation_function": "gelu_new"}


def _gemma(found: Mapping[str, Any], shapes: Shapes, largest: int) -> dict[str, Any]:
    """largest: layers of the release whose queries are scaled by the width's share of a head"""
    width, heads, layers = (found.get(name) for name in ("hidden_size", "num_attention_heads", LAYERS))
    shared = layers == largest and isinstance(width, int) and isinstance(heads, int) and heads > 0
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": width // heads if shared else found.get("head_dim"),  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    }


def _gemma2(found: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    own = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096}
    given = {name: found[name] for name in own if found.get(name) is not None}
    return {**own, **given, **_gemma(found, shapes, 46), "tie_word_embeddings": True}


ARCHITECTURES = (
    Architecture(name="llama", family=llama, keys=SIZES, fixed=_llama, swapped=True),
    Architecture(name="qwen2", family=qwen2, keys=SIZES, fixed=_qwen),
    Architecture(name="qwen3", family=qwen3, keys=SIZES, fixed=_qwen),
    Architecture(
        name="gemma2",
        family=gemma2,
        keys={
            **SIZES,
            "sliding_window": "attention.sliding_window",
            "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        fixed=_gemma2,
        offset=1.0,
    ),
    Architecture(
        name="gemma3",
        family=gemma3_text,
        keys={**SIZES, "sliding_window": "attention.sliding_window"},
        fixed=partial(_gemma, largest=62),
        local=10_000.0,
        offset=1.0,
    ),
    Architecture(name="gpt2", family=gpt2, keys=GPT2_SIZES, fixed=_gpt2, rotary=False),
)
