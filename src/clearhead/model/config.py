"""What a model is made of: frozen, keyword-only, composed, and checking itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from clearhead.errors import ConfigError, nearest, shown

# Larger numbers are slips or damage; torch's own counters overflow on some of them instead of saying so.
EXPERTS_AT_MOST = 100_000  # in all layers; the largest released model has 23,000 (Kimi K2, 2025)
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


def _sizes(where: str, config: object, *names: str) -> None:
    for name in names:
        size: int = getattr(config, name)
        if not 1 <= size <= SIZE_AT_MOST:
            raise ConfigError(f"{where}: {name} is {shown(size)}; it must be at least 1 and at most {SIZE_AT_MOST:,}")


def _word(where: str, config: object, name: str, *known: str) -> None:
    value: str = getattr(config, name)
    if value not in known:
        raise ConfigError(f"{where}: there is no {name} {value!r}{nearest(value, known)}")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Multi-head attention with grouped keys and values (Ainslie et al. 2023)."""

    heads: int
    kv_heads: int  # divides heads
    head_width: int
    bias: bool = False  # on queries, keys and values
    out_bias: bool = False
    head_norm: Literal["head", "projection", "none"] = "head"  # RMSNorm of queries and keys: of what at a time
    window: int | None = None  # keys visible, self included; None = all
    softcap: float | None = None  # in logits
    scale: float | None = None  # factor on q.k; None = 1/sqrt(head_width)
    sinks: bool = False  # a trained logit per head that takes weight and gives no value (GPT-OSS, 2025)

    def __post_init__(self) -> None:
        _sizes("attention", self, "heads", "kv_heads", "head_width")
        _word("attention", self, "head_norm", "head", "projection", "none")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ConfigError(f"attention: scale is {self.scale}; it must be above 0 and finite, or left out")
        if self.heads % self.kv_heads:
            raise ConfigError(f"attention: {self.heads} heads and {self.kv_heads} kv_heads; kv_heads must divide heads")
        if self.window is not None:
            _sizes("attention", self, "window")
        if self.softcap is not None and not 0 < self.softcap < math.inf:
            raise ConfigError(f"attention: softcap is {self.softcap}; it must be above 0 and finite, or left out")


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """Many feed-forwards of one shape, of which each token goes through a few (Shazeer et al. 2017)."""

    count: int
    active: int  # for each token
    softmax: Literal["chosen", "all"] = "chosen"  # over which experts' scores: the active ones sum to 1, or all do
    bias: bool = False  # on the scores
    balance: float = 0.001  # weight of the loss that spreads tokens evenly, while training (Fedus et al. 2021, 2.2)
    dense: tuple[int, ...] = ()  # layers that have one feed-forward as usual
    dense_width: int | None = None  # of those; None = as wide as an expert

    def __post_init__(self) -> None:
        _sizes("experts", self, "count", "active", *(("dense_width",) if self.dense_width is not None else ()))
        _word("experts", self, "softmax", "chosen", "all")
        if self.active > self.count:
            raise ConfigError(f"experts: {self.active} active of {self.count}; no more can be active than there are")
        if not 0 <= self.balance < math.inf:
            raise ConfigError(f"experts: balance is {self.balance}; it must be at least 0 and finite")
        if list(self.dense) != sorted(set(self.dense)):
            raise ConfigError(f"experts: dense is {shown(self.dense)}; the layers must be in order, each once")


@dataclass(frozen=True, kw_only=True)
class ClampConfig:
    """min(gate, limit) sigmoid(slope gate) (clamp(up, -limit, limit) + 1): the swiglu of GPT-OSS (2025)."""

    limit: float = 7.0
    slope: float = 1.702  # makes x sigmoid(slope x) close to GELU (Hendrycks and Gimpel 2016, 2)

    def __post_init__(self) -> None:
        if not (0 < self.limit < math.inf and 0 < self.slope < math.inf):
            raise ConfigError(f"clamp: limit is {self.limit}, slope {self.slope}; both must be above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Two layers with an activation between, or three when gated; many such, with experts."""

    kind: str = "swiglu"  # a name of FEED_FORWARDS
    width: int
    bias: bool = False
    clamp: ClampConfig | None = None  # of kind swiglu
    experts: ExpertsConfig | None = None

    def __post_init__(self) -> None:
        _sizes("feed_forward", self, "width")
        if self.kind not in FEED_FORWARDS:
            raise ConfigError(f"feed_forward: there is no kind {self.kind!r}{nearest(self.kind, FEED_FORWARDS)}")
        if self.clamp is not None and self.kind != "swiglu":
            raise ConfigError(f"feed_forward: clamp beside kind {self.kind!r}; it belongs to 'swiglu'")

    @property
    def active(self) -> int:
        """Feed-forwards that each token goes through."""
        return 1 if self.experts is None else self.experts.active


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016)."""

    kind: Literal["rms", "layer"] = "rms"
    eps: float = 1e-6
    offset: float = 0.0  # added to the trained weight of an RMSNorm (Gemma: 1)
    bias: bool = True  # of a LayerNorm (ModernBERT: none)

    def __post_init__(self) -> None:
        _word("norm", self, "kind", "rms", "layer")
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"norm: eps is {self.eps}; it must be above 0 and finite")
        if not math.isfinite(self.offset) or (self.offset and self.kind != "rms"):
            raise ConfigError(f"norm: offset is {self.offset}; it must be finite, and 0 for kind {self.kind!r}")


@dataclass(frozen=True, kw_only=True)
class ScalingConfig:
    """How rotary angles are changed for texts longer than those a model was first trained on."""

    kind: Literal["linear", "llama3", "yarn", "longrope"]
    factor: float  # how many times longer
    original: int = 8192  # context of the first training, in tokens; linear does without
    low: float = 1.0  # llama3: waves longer than original / low are stretched by the factor
    high: float = 4.0  # llama3: waves shorter than original / high stay
    fast: float = 32.0  # yarn: pairs that turn more often over the original context stay
    slow: float = 1.0  # yarn: pairs that turn less often are stretched by the factor
    whole: bool = True  # yarn: the two borders between pairs are rounded outwards
    attention: float | None = None  # yarn, longrope: factor on queries and keys; None = the paper's, from factor
    short: tuple[float, ...] = ()  # longrope: divisors per pair up to the original context
    long: tuple[float, ...] = ()  # longrope: divisors per pair beyond it

    def __post_init__(self) -> None:
        _word("scaling", self, "kind", "linear", "llama3", "yarn", "longrope")
        _sizes("scaling", self, "original")
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
    """Rotary (Su et al. 2021), learned (Radford et al. 2019) or no positions (Kazemnejad et al. 2023)."""

    kind: Literal["rotary", "learned", "none"] = "rotary"
    theta: float = 10_000.0  # rotary: the longest wavelength is 2 pi theta places
    rotated: float = 1.0  # rotary: the share of each head that is turned, its first numbers
    scaling: ScalingConfig | None = None  # rotary
    first: int = 0  # learned: vectors before that of place 0 (RoBERTa: 2, as places are counted behind padding's)

    def __post_init__(self) -> None:
        _word("positions", self, "kind", "rotary", "learned", "none")
        if not 0 <= self.first <= (SIZE_AT_MOST if self.kind == "learned" else 0):
            raise ConfigError(f"positions: first is {shown(self.first)}; it must be at least 0, and 0 unless learned")
        if not 1 < self.theta < math.inf:
            raise ConfigError(f"positions: theta is {self.theta}; it must be above 1 and finite")
        if not 0 < self.rotated <= 1:
            raise ConfigError(f"positions: rotated is {self.rotated}; it must be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """What may set a layer apart from the others."""

    window: int | None = None  # keys visible, self included; None = all
    positions: PositionConfig | None = None  # rotary or none; None = the model's

    def __post_init__(self) -> None:
        if self.window is not None:
            _sizes("pattern", self, "window")
        if self.positions is not None and self.positions.kind == "learned":
            raise ConfigError("pattern: learned positions belong to the whole model, not to a layer")


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """The layer between an encoder's blocks and its output layer: norm(act(dense x)) (Devlin et al. 2019)."""

    activation: str = "gelu"  # a name of FEED_FORWARDS that is not gated
    bias: bool = True
    output_bias: bool = True  # a number for each token, added to its logit

    def __post_init__(self) -> None:
        _word("prediction", self, "activation", *(name for name, (_, gated) in FEED_FORWARDS.items() if not gated))


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What makes a Transformer an encoder: every token sees the whole text, and the embedding is normalised.

    Where norms stand before each part, that of the embedding takes the place of the first (ModernBERT, 2024, 2.1).
    """

    token_types: int = 0  # vectors that tell texts of a pair apart
    prediction: PredictionConfig | None = None  # masked tokens are predicted; None: hidden states alone
    pooler: bool = False  # a layer with tanh on the first token

    def __post_init__(self) -> None:
        if not 0 <= self.token_types <= SIZE_AT_MOST:
            raise ConfigError(f"encoder: token_types is {shown(self.token_types)}; it must be at least 0")

    def parameters(self, vocabulary: int, width: int, norm: int) -> int:
        """Number of trained numbers, those of a norm being given; neither of the blocks nor of the embedding."""
        count = norm + self.token_types * width + (width * width + width if self.pooler else 0)
        if self.prediction is None:
            return count
        head = self.prediction
        return count + width * width + head.bias * width + norm + head.output_bias * vocabulary


ARRANGEMENTS = ("pre", "post", "output", "sandwich", "parallel")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A decoder-only Transformer, or an encoder; the defaults are Qwen 3's shape."""

    vocabulary: int  # number of token ids
    context: int  # longest text in tokens
    layers: int
    width: int
    attention: AttentionConfig
    feed_forward: FeedForwardConfig
    norm: NormConfig = NormConfig()
    positions: PositionConfig = PositionConfig()
    arrangement: Literal["pre", "post", "output", "sandwich", "parallel"] = "pre"  # norms around parts; see block.py
    pattern: tuple[LayerConfig, ...] = ()  # by layer, cycled, in the place of attention.window
    embedding_scale: float | None = None  # factor on the embedding, rounded to the weights' dtype (Gemma)
    logit_softcap: float | None = None  # c in c tanh(logit / c) of the output (Gemma 2)
    encoder: EncoderConfig | None = None  # None: a decoder, which sees the text up to each token
    tied: bool = True  # the output layer is the embedding matrix
    dropout: float = 0.0  # on the embedding and on what each part adds to the residual stream, while training

    def __post_init__(self) -> None:
        _sizes("model", self, "vocabulary", "context", "layers", "width")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model: dropout is {self.dropout}; it must be at least 0 and below 1")
        _word("model", self, "arrangement", *ARRANGEMENTS)
        for name in ("embedding_scale", "logit_softcap"):
            value: float | None = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"model: {name} is {value}; it must be above 0 and finite, or left out")
        if self.encoder is not None and self.logit_softcap is not None:
            raise ConfigError(f"model: logit_softcap is {self.logit_softcap}; an encoder's logits are not capped")
        if self.pattern and self.attention.window is not None:
            raise ConfigError(f"model: attention.window is {self.attention.window} beside a pattern, which has windows")
        dense = () if self.feed_forward.experts is None else self.feed_forward.experts.dense
        if dense and (dense[0] < 0 or dense[-1] >= self.layers or len(dense) == self.layers):
            raise ConfigError(
                f"experts: the layers {shown(dense)} are dense, of {self.layers}; some of 0 to {self.layers - 1} can "
                "be, not all"
            )
        for kind in self.pattern or (LayerConfig(),):
            self._check_turned(kind.positions or self.positions)
        if self.layers > LAYERS_AT_MOST:
            raise ConfigError(f"model: {self.layers:,} layers; the most that is accepted is {LAYERS_AT_MOST:,}")
        if (experts := self.feed_forward.experts) is not None and self.layers * experts.count > EXPERTS_AT_MOST:
            raise ConfigError(
                f"model: {self.layers * experts.count:,} experts in all; at most {EXPERTS_AT_MOST:,} are accepted"
            )
        if self.parameters() > PARAMETERS_AT_MOST:
            raise ConfigError(
                f"model: {self.parameters():,} weights; the most that is accepted is {PARAMETERS_AT_MOST:,}"
            )

    def _check_turned(self, positions: PositionConfig) -> None:
        width = self.attention.head_width
        turned = int(width * positions.rotated)
        if positions.kind != "rotary":
            return
        if turned % 2 or not turned:
            of = f", {turned} of it turned" if positions.rotated != 1 else ""
            raise ConfigError(f"attention: head_width is {width}{of}; rotary positions turn pairs, so it must be even")
        scaling = positions.scaling
        if scaling is None or scaling.kind != "longrope":
            return
        if not len(scaling.short) == len(scaling.long) == turned // 2:
            raise ConfigError(
                f"scaling: {len(scaling.short)} short and {len(scaling.long)} long divisors; "
                f"there must be one for each of {turned // 2} pairs"
            )

    @property
    def kinds(self) -> tuple[LayerConfig, ...]:
        """What sets each layer apart, one entry a layer."""
        pattern = self.pattern or (LayerConfig(window=self.attention.window),)
        return tuple(pattern[layer % len(pattern)] for layer in range(self.layers))

    @property
    def matrices(self) -> int:
        """How many matrices have a row for each token: the embedding, and the output layer unless it is the same."""
        return 1 if self.tied or (self.encoder is not None and self.encoder.prediction is None) else 2

    def parameters(self) -> int:
        """Number of trained numbers, the tied output layer counted once."""
        a, E = self.attention, self.width
        inner, shared = a.heads * a.head_width, a.kv_heads * a.head_width
        attention = (E + int(a.bias)) * (inner + 2 * shared) + (inner + int(a.out_bias)) * E
        attention += a.heads if a.sinks else 0
        attention += {"head": 2 * a.head_width, "projection": inner + shared, "none": 0}[a.head_norm]
        norm = E * (2 if self.norm.kind == "layer" and self.norm.bias else 1)
        norms = self.layers * (4 if self.arrangement == "sandwich" else 2) + (self.arrangement != "post")
        embeddings = self.vocabulary * E * self.matrices
        places = (self.context + self.positions.first) * E if self.positions.kind == "learned" else 0
        around = 0
        if self.encoder is not None:
            around = self.encoder.parameters(self.vocabulary, E, norm) - (norm if self.arrangement == "pre" else 0)
        return self.layers * attention + self._feed_forwards() + norms * norm + embeddings + places + around

    def _feed_forwards(self) -> int:
        f, x, one = self.feed_forward, self.feed_forward.experts, self._feed_forward
        if x is None:
            return self.layers * one(f.width)
        mixed = self.layers - len(x.dense)
        return len(x.dense) * one(x.dense_width or f.width) + mixed * x.count * (one(f.width) + self.width + x.bias)

    def _feed_forward(self, inner: int) -> int:
        f, E = self.feed_forward, self.width
        rows = inner * (2 if FEED_FORWARDS[f.kind][1] else 1)
        return E * rows + inner * E + (rows + E if f.bias else 0)

    def active_parameters(self) -> int:
        """The numbers that take part in the pass of one token: of a layer's experts, only the active ones."""
        f, x = self.feed_forward, self.feed_forward.experts
        idle = 0 if x is None else (self.layers - len(x.dense)) * (x.count - x.active)
        return self.parameters() - idle * self._feed_forward(f.width)

    def inner_parameters(self) -> int:
        """The same without the embedding of tokens and the output layer."""
        return self.parameters() - self.vocabulary * self.width * self.matrices
