"""Configs of the parts: frozen, keyword-only, validated. Each counts its weights and describes itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from clearhead.errors import ConfigError, nearest, shown

SIZE_AT_MOST = 2**40  # more is a typo or damage, and torch would overflow silently
DISTANCE_AT_MOST = 2**16  # biases are computed for every distance up to it

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


def check_sizes(where: str, config: object, *names: str) -> None:
    """Raises ConfigError unless each field is between 1 and SIZE_AT_MOST."""
    for name in names:
        size: int = getattr(config, name)
        if not 1 <= size <= SIZE_AT_MOST:
            raise ConfigError(f"{where}: {name} is {shown(size)}; it must be at least 1 and at most {SIZE_AT_MOST:,}")


def check_word(where: str, config: object, name: str, *known: str) -> None:
    """Raises ConfigError, suggesting the nearest, if the field is not one of the known words."""
    value: str = getattr(config, name)
    if value not in known:
        raise ConfigError(f"{where}: there is no {name} {value!r}{nearest(value, known)}")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Multi-head attention with grouped keys and values (Ainslie et al. 2023)."""

    heads: int  # query heads per layer
    kv_heads: int  # key and value heads per layer; divides heads
    head_width: int  # width of a head
    bias: bool = False  # biases on queries, keys and values
    out_bias: bool = False  # a bias on the output projection
    # RMSNorm of queries and keys: of each head (Qwen 3) or of the whole projection (OLMo 2)
    head_norm: Literal["head", "projection", "none"] = "head"
    window: int | None = None  # keys visible, self included; None = all
    softcap: float | None = None  # c in c tanh(logit / c), for attention logits; None = none
    scale: float | None = None  # factor on query times key; None = 1 / sqrt(head_width)
    sinks: bool = False  # a trained logit per head that takes weight and gives no value (GPT-OSS, 2025)

    def __post_init__(self) -> None:
        check_sizes("attention", self, "heads", "kv_heads", "head_width")
        check_word("attention", self, "head_norm", "head", "projection", "none")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ConfigError(f"attention: scale is {self.scale}; it must be above 0 and finite, or left out")
        if self.heads % self.kv_heads:
            raise ConfigError(f"attention: {self.heads} heads and {self.kv_heads} kv_heads; kv_heads must divide heads")
        if self.window is not None:
            check_sizes("attention", self, "window")
        if self.softcap is not None and not 0 < self.softcap < math.inf:
            raise ConfigError(f"attention: softcap is {self.softcap}; it must be above 0 and finite, or left out")

    @property
    def projections(self) -> tuple[int, int, int]:
        """Widths of all queries, all keys and all values of a place."""
        shared = self.kv_heads * self.head_width
        return self.heads * self.head_width, shared, shared

    def parameters(self, width: int) -> int:
        """Trained parameters of one layer's attention in a stream of this width."""
        queries, keys, values = self.projections
        count = (width + self.bias) * (queries + keys + values) + (queries + self.out_bias) * width
        count += {"head": 2 * self.head_width, "projection": queries + keys, "none": 0}[self.head_norm]
        return count + (self.heads if self.sinks else 0)

    def __str__(self) -> str:
        groups = "" if self.kv_heads == self.heads else f", keys and values in {self.kv_heads} groups"
        return f"{self.heads} heads of width {self.head_width}{groups}"


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """Many feed-forwards of one shape, a few of which process each token (Shazeer et al. 2017)."""

    count: int  # experts per layer
    active: int  # experts per token
    softmax: Literal["chosen", "all"] = "chosen"  # experts whose weights sum to 1: those chosen for the token, or all
    bias: bool = False  # a bias on the router's scores
    balance: float = 0.001  # weight of the loss that spreads tokens evenly (Fedus et al. 2021, 2.2)
    dense: tuple[int, ...] = ()  # layers with one feed-forward and no experts
    dense_width: int | None = None  # inner width of those layers; None = that of an expert

    def __post_init__(self) -> None:
        check_sizes("experts", self, "count", "active", *(("dense_width",) if self.dense_width is not None else ()))
        check_word("experts", self, "softmax", "chosen", "all")
        if self.active > self.count:
            raise ConfigError(f"experts: {self.active} active of {self.count}; no more can be active than there are")
        if not 0 <= self.balance < math.inf:
            raise ConfigError(f"experts: balance is {self.balance}; it must be at least 0 and finite")
        if list(self.dense) != sorted(set(self.dense)):
            raise ConfigError(f"experts: dense is {shown(self.dense)}; the layers must be in order, each once")


@dataclass(frozen=True, kw_only=True)
class ClampConfig:
    """min(gate, limit) sigmoid(slope gate) (clamp(up, -limit, limit) + 1): the swiglu of GPT-OSS (2025)."""

    limit: float = 7.0  # bound on the gate from above, and on the other half on both sides
    slope: float = 1.702  # x sigmoid(1.702 x) is close to GELU (Hendrycks and Gimpel 2016, 2)

    def __post_init__(self) -> None:
        if not (0 < self.limit < math.inf and 0 < self.slope < math.inf):
            raise ConfigError(f"clamp: limit is {self.limit}, slope {self.slope}; both must be above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Two layers with an activation between, or three when gated; many such, with experts."""

    kind: str = "swiglu"  # activation; bilinear and names with glu are gated
    width: int  # inner width
    bias: bool = False  # biases on both layers
    clamp: ClampConfig | None = None  # GPT-OSS's form of swiglu; None = the usual one
    experts: ExpertsConfig | None = None  # many feed-forwards per layer; None = one

    def __post_init__(self) -> None:
        check_sizes("feed_forward", self, "width")
        if self.kind not in FEED_FORWARDS:
            raise ConfigError(f"feed_forward: there is no kind {self.kind!r}{nearest(self.kind, FEED_FORWARDS)}")
        if self.clamp is not None and self.kind != "swiglu":
            raise ConfigError(f"feed_forward: clamp beside kind {self.kind!r}; it belongs to 'swiglu'")

    @property
    def active(self) -> int:
        """Feed-forwards that each token goes through."""
        return 1 if self.experts is None else self.experts.active

    @property
    def rows(self) -> int:
        """Outputs of the first layer: gate and up together when gated."""
        return sum(self.halves)

    @property
    def halves(self) -> tuple[int, ...]:
        """The outputs of gate and up separately."""
        return (self.width,) * (2 if FEED_FORWARDS[self.kind][1] else 1)

    def one(self, width: int) -> int:
        """Trained parameters of one feed-forward in a stream of this width."""
        return (width + self.bias) * self.rows + (self.width + self.bias) * width

    def parameters(self, width: int, layers: int) -> int:
        """Trained parameters of the feed-forwards of ``layers`` layers, routers and all experts counted."""
        x = self.experts
        if x is None:
            return layers * self.one(width)
        dense = replace(self, width=x.dense_width or self.width)
        mixed = (layers - len(x.dense)) * x.count * (self.one(width) + width + x.bias)
        return len(x.dense) * dense.one(width) + mixed

    def idle(self, width: int, layers: int) -> int:
        """Weights of ``layers`` layers that one token does not use: those of inactive experts."""
        x = self.experts
        return 0 if x is None else (layers - len(x.dense)) * (x.count - x.active) * self.one(width)

    def __str__(self) -> str:
        several = (
            "" if self.experts is None else f"{self.experts.count} experts, {self.experts.active} of them active: "
        )
        return f"{several}{self.kind} of width {self.width}"


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016)."""

    kind: Literal["rms", "layer"] = "rms"  # RMSNorm or LayerNorm
    eps: float = 1e-6  # added to the mean square or the variance
    offset: float = 0.0  # added to the trained weight of an RMSNorm (Gemma: 1)
    bias: bool = True  # whether a LayerNorm has a bias (ModernBERT: no)

    def __post_init__(self) -> None:
        check_word("norm", self, "kind", "rms", "layer")
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"norm: eps is {self.eps}; it must be above 0 and finite")
        if not math.isfinite(self.offset) or (self.offset and self.kind != "rms"):
            raise ConfigError(f"norm: offset is {self.offset}; it must be finite, and 0 for kind {self.kind!r}")

    def parameters(self, width: int) -> int:
        """Trained parameters of a norm over this width."""
        return width * (2 if self.kind == "layer" and self.bias else 1)


@dataclass(frozen=True, kw_only=True)
class ScalingConfig:
    """How rotary angles are changed for texts longer than those a model was first trained on."""

    kind: Literal["linear", "llama3", "yarn", "longrope"]  # rule by which the angles change
    factor: float  # how many times longer the texts are
    original: int = 8192  # context length of the first training, in tokens; not used by linear
    low: float = 1.0  # llama3: wavelengths above original / low are stretched by the factor
    high: float = 4.0  # llama3: wavelengths below original / high stay
    fast: float = 32.0  # yarn: pairs that turn more often than this over the original context stay
    slow: float = 1.0  # yarn: pairs that turn less often than this are stretched by the factor
    whole: bool = True  # yarn: whether the two borders between pairs are rounded outwards
    attention: float | None = None  # yarn, longrope: factor on queries and keys; None = computed from factor
    short: tuple[float, ...] = ()  # longrope: a divisor per pair, up to the original context length
    long: tuple[float, ...] = ()  # longrope: a divisor per pair, beyond the original context length

    def __post_init__(self) -> None:
        check_word("scaling", self, "kind", "linear", "llama3", "yarn", "longrope")
        check_sizes("scaling", self, "original")
        if self.kind == "longrope" and self.original < 2:
            raise ConfigError(f"scaling: original is {self.original}; longrope divides by its logarithm: at least 2")
        for name in ("factor", "low", "high", "fast", "slow", "attention", "short", "long"):
            value: float | tuple[float, ...] | None = getattr(self, name)
            each = value if isinstance(value, tuple) else () if value is None else (value,)
            if not all(0 < number < math.inf for number in each):
                raise ConfigError(f"scaling: {name} is {shown(value)}; it must be above 0 and finite")
        if self.low >= self.high or self.slow >= self.fast:
            raise ConfigError(
                f"scaling: low {self.low} and high {self.high}, slow {self.slow} and fast {self.fast}; "
                "the first must be smaller each time"
            )
        if (self.kind == "longrope") != bool(self.short and self.long):
            raise ConfigError("scaling: short and long divisors belong to kind 'longrope', which needs both")


@dataclass(frozen=True, kw_only=True)
class PositionConfig:
    """How positions enter a model.

    rotary (Su et al. 2021); learned (Radford et al. 2019); sinusoidal (Vaswani et al. 2017); fairseq: sinusoids of
    other wavelengths (M2M-100, Fan et al. 2020); relative: a bias on attention's logits (Raffel et al. 2020, 2.1); none
    (Kazemnejad et al. 2023)
    """

    kind: Literal["rotary", "learned", "sinusoidal", "fairseq", "relative", "none"] = "rotary"  # how positions enter
    theta: float = 10_000.0  # rotary, sinusoidal, fairseq: the longest wavelength is 2 pi theta places
    rotated: float = 1.0  # rotary: fraction of each head that is rotated, from its first number on
    scaling: ScalingConfig | None = None  # rotary: angles for longer texts; None = unchanged
    first: int = 0  # learned, fairseq: unused vectors before place 0's (RoBERTa: 2, since it counts on from padding's)
    buckets: int = 32  # relative: biases per head, each for a range of distances that widens with the distance
    distance: int = 128  # relative: all distances from this on share the last bucket

    def __post_init__(self) -> None:
        check_word("positions", self, "kind", "rotary", "learned", "sinusoidal", "fairseq", "relative", "none")
        if self.buckets < 4 or not self.buckets // 2 < self.distance <= DISTANCE_AT_MOST:
            raise ConfigError(
                f"positions: buckets is {shown(self.buckets)} and distance {shown(self.distance)}; there must be at "
                f"least 4 buckets, and the distance must be above half their number and at most {DISTANCE_AT_MOST:,}"
            )
        if not 0 <= self.first <= (SIZE_AT_MOST if self.kind in ("learned", "fairseq") else 0):
            raise ConfigError(
                f"positions: first is {shown(self.first)}; it must be at least 0, and 0 unless learned or fairseq"
            )
        if not 1 < self.theta < math.inf:
            raise ConfigError(f"positions: theta is {self.theta}; it must be above 1 and finite")
        if not 0 < self.rotated <= 1:
            raise ConfigError(f"positions: rotated is {self.rotated}; it must be above 0 and at most 1")

    def parameters(self, context: int, width: int, heads: int) -> int:
        """Trained parameters: a vector per place if learned, biases per head if relative, else none."""
        vectors = (self.first + context) * width
        return {"learned": vectors, "relative": self.buckets * heads}.get(self.kind, 0)

    def __str__(self) -> str:
        words = [self.kind]
        if self.kind == "rotary":
            words.append(f"theta {self.theta:,.12g}")
            words += [f"{self.rotated:.0%} of each head"] if self.rotated != 1 else []
            words += [f"{self.scaling.kind} scaling by {self.scaling.factor:g}"] if self.scaling is not None else []
        if self.kind == "relative":
            words.append(f"{self.buckets} buckets of distances up to {self.distance:,}")
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """Settings that may differ between layers."""

    window: int | None = None  # keys visible, self included; None = all
    positions: PositionConfig | None = None  # rotary or none; None = the model's

    def __post_init__(self) -> None:
        if self.window is not None:
            check_sizes("pattern", self, "window")
        if self.positions is not None and self.positions.kind not in ("rotary", "none"):
            raise ConfigError(f"pattern: {self.positions.kind} positions belong to the whole model, not to a layer")


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """The layer between an encoder's blocks and its output layer: norm(act(dense x)) (Devlin et al. 2019)."""

    activation: str = "gelu"  # activation of the prediction head
    bias: bool = True  # a bias on the layer of the prediction head
    output_bias: bool = True  # a number per token id, added to its logit

    def __post_init__(self) -> None:
        check_word("prediction", self, "activation", *(name for name, (_, gated) in FEED_FORWARDS.items() if not gated))

    def parameters(self, vocabulary: int, width: int, norm: int) -> int:
        """Trained parameters besides the output layer's matrix; ``norm`` is the number in a norm."""
        return (width + self.bias) * width + norm + (vocabulary if self.output_bias else 0)
