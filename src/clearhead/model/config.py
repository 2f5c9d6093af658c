"""What a model is made of: frozen, keyword-only, composed, and checking itself."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from clearhead.errors import ConfigError, nearest, shown

# Larger numbers are slips or damage; torch's own counters overflow on some of them instead of saying so.
LAYERS_AT_MOST = 10_000  # the deepest published Transformer has 1,000 (Wang et al. 2022, "DeepNet")
SIZE_AT_MOST = 2**40  # of any other single number
PARAMETERS_AT_MOST = 2**48

# Name -> (activation, gated). The gated forms' names are Shazeer's (2020, "GLU Variants Improve Transformer").
FEED_FORWARDS: dict[str, tuple[str, bool]] = {
    "identity": ("identity", False),
    "relu": ("relu", False),
    "sigmoid": ("sigmoid", False),
    "tanh": ("tanh", False),
    "gelu": ("gelu", False),
    "gelu-tanh": ("gelu-tanh", False),
    "silu": ("silu", False),
    "bilinear": ("identity", True),
    "reglu": ("relu", True),
    "glu": ("sigmoid", True),
    "tanhglu": ("tanh", True),
    "geglu": ("gelu", True),
    "geglu-tanh": ("gelu-tanh", True),
    "swiglu": ("silu", True),
}


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Multi-head attention with grouped keys and values (Ainslie et al. 2023)."""

    heads: int
    kv_heads: int  # divides heads
    head_width: int
    bias: bool = False  # on queries, keys and values
    out_bias: bool = False
    head_norm: bool = True  # RMSNorm over the width of each query and key head (Qwen 3)
    window: int | None = None  # keys visible, self included; None = all
    softcap: float | None = None  # in logits

    def __post_init__(self) -> None:
        _sizes("attention", self, "heads", "kv_heads", "head_width")
        if self.heads % self.kv_heads:
            raise ConfigError(f"attention: {self.heads} heads and {self.kv_heads} kv_heads; kv_heads must divide heads")
        if self.window is not None:
            _sizes("attention", self, "window")
        if self.softcap is not None and not 0 < self.softcap < math.inf:
            raise ConfigError(f"attention: softcap is {self.softcap}; it must be above 0 and finite, or left out")


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Two layers with an activation between, or three when gated."""

    kind: str = "swiglu"  # a name of FEED_FORWARDS
    width: int
    bias: bool = False

    def __post_init__(self) -> None:
        _sizes("feed_forward", self, "width")
        if self.kind not in FEED_FORWARDS:
            raise ConfigError(f"feed_forward: there is no kind {self.kind!r}{nearest(self.kind, FEED_FORWARDS)}")


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """RMSNorm (Zhang and Sennrich 2019) or LayerNorm with a bias (Ba et al. 2016)."""

    kind: Literal["rms", "layer"] = "rms"
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.kind not in ("rms", "layer"):
            raise ConfigError(f"norm: there is no kind {self.kind!r}{nearest(self.kind, ('rms', 'layer'))}")
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"norm: eps is {self.eps}; it must be above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class PositionConfig:
    """Rotary (Su et al. 2021) or learned (Radford et al. 2019) positions."""

    kind: Literal["rotary", "learned"] = "rotary"
    theta: float = 10_000.0  # rotary: the longest wavelength is 2 pi theta places

    def __post_init__(self) -> None:
        if self.kind not in ("rotary", "learned"):
            raise ConfigError(f"positions: there is no kind {self.kind!r}{nearest(self.kind, ('rotary', 'learned'))}")
        if not 1 < self.theta < math.inf:
            raise ConfigError(f"positions: theta is {self.theta}; it must be above 1 and finite")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A decoder-only Transformer; the defaults are Qwen 3's shape."""

    vocabulary: int  # number of token ids
    context: int  # longest text in tokens
    layers: int
    width: int
    attention: AttentionConfig
    feed_forward: FeedForwardConfig
    norm: NormConfig = NormConfig()
    positions: PositionConfig = PositionConfig()
    tied: bool = True  # the output layer is the embedding matrix
    dropout: float = 0.0  # on the embedding and on what each part adds to the residual stream, while training

    def __post_init__(self) -> None:
        _sizes("model", self, "vocabulary", "context", "layers", "width")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model: dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.positions.kind == "rotary" and self.attention.head_width % 2:
            width = self.attention.head_width
            raise ConfigError(f"attention: head_width is {width}; rotary positions turn pairs, so it must be even")
        if self.layers > LAYERS_AT_MOST:
            raise ConfigError(f"model: {self.layers:,} layers; the most that is accepted is {LAYERS_AT_MOST:,}")
        if self.parameters() > PARAMETERS_AT_MOST:
            raise ConfigError(
                f"model: {self.parameters():,} weights; the most that is accepted is {PARAMETERS_AT_MOST:,}"
            )

    def parameters(self) -> int:
        """Number of trained numbers, the tied output layer counted once."""
        a, f, E = self.attention, self.feed_forward, self.width
        inner, shared = a.heads * a.head_width, a.kv_heads * a.head_width
        attention = (E + int(a.bias)) * (inner + 2 * shared) + (inner + int(a.out_bias)) * E
        attention += 2 * a.head_width if a.head_norm else 0
        rows = f.width * (2 if FEED_FORWARDS[f.kind][1] else 1)
        feed_forward = E * rows + f.width * E + (rows + E if f.bias else 0)
        norm = E * (2 if self.norm.kind == "layer" else 1)
        embeddings = self.vocabulary * E * (1 if self.tied else 2)
        places = self.context * E if self.positions.kind == "learned" else 0
        return self.layers * (attention + feed_forward + 2 * norm) + norm + embeddings + places

    def inner_parameters(self) -> int:
        """The same without the embedding of tokens and the output layer."""
        return self.parameters() - self.vocabulary * self.width * (1 if self.tied else 2)


def to_dict(config: object) -> dict[str, Any]:
    """A config as nested plain values, for TOML and JSON; None is left out."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cast(Any, config)):
        value = getattr(config, field.name)
        if value is not None:
            if dataclasses.is_dataclass(value):
                value = to_dict(value)
            values[field.name] = list(cast(tuple[str, ...], value)) if isinstance(value, tuple) else value
    return values


C = TypeVar("C")


def from_dict(kind: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """The config that ``to_dict`` wrote. Raises ConfigError for unknown (with the nearest), missing or wrong keys."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    taken: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(f"{where}{name}: unknown{nearest(name, fields)}")
        taken[name] = checked(hints[name], value, f"{where}{name}")
    absent = [name for name, field in fields.items() if name not in taken and _required(field)]
    if absent:
        raise ConfigError(f"{where.removesuffix('.') or 'config'}: missing {', '.join(absent)}")
    return kind(**taken)


def checked(hint: Any, value: Any, where: str) -> Any:
    """``value`` as a field of this type holds it: tables become configs, lists tuples, whole numbers floats.

    Raises ConfigError, which begins with ``where``, for a value of another type; a float must be finite.
    """
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{where}: {shown(value)} was given; it is a table with {', '.join(typing.get_type_hints(hint))}"
            )
        return from_dict(cast(Any, hint), cast(Mapping[str, Any], value), f"{where}.")
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if _fits(option, value):
            return float(value) if option is float else tuple(value) if typing.get_origin(option) is tuple else value
    wanted = " or ".join(_NAMES.get(option) or " or ".join(map(repr, typing.get_args(option))) for option in options)
    raise ConfigError(f"{where}: {shown(value)} was given; it must be {wanted}")


_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
    dict: "a table",
    type(None): "left out",
}


def _fits(option: Any, value: Any) -> bool:
    if isinstance(value, bool) and option is not bool:
        return False  # to Python, True is the whole number 1
    if option is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if typing.get_origin(option) is tuple:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in cast(Any, value))
    if typing.get_origin(option) is Literal:
        return value in typing.get_args(option)
    return isinstance(value, option)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _sizes(where: str, config: object, *names: str) -> None:
    for name in names:
        size: int = getattr(config, name)
        if not 1 <= size <= SIZE_AT_MOST:
            raise ConfigError(f"{where}: {name} is {shown(size)}; it must be at least 1 and at most {SIZE_AT_MOST:,}")
