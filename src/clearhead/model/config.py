"""Model configs: frozen, keyword-only, composed, and validated on construction; one class per kind of model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from clearhead.errors import ConfigError, many, shown
from clearhead.model.parts.config import (
    SIZE_AT_MOST,
    AttentionConfig,
    FeedForwardConfig,
    LayerConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    check_sizes,
    check_word,
)
from clearhead.model.sizing import nearest_heads, nearest_in_size
from clearhead.plain import Tagged

# Larger numbers are typos or damage.
EXPERTS_AT_MOST = 100_000  # in all layers; the largest released model has 23,000 (Kimi K2, 2025)
LAYERS_AT_MOST = 10_000  # the deepest published Transformer has 1,000 (Wang et al. 2022, "DeepNet")
PARAMETERS_AT_MOST = 2**48

GATED = ("geglu", "swiglu")  # the feed-forwards of ModernBERT's shape that a decoder may share


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Tagged, ABC):
    """What all kinds of models share. The ``kind`` entry of a table selects one; the default is a decoder."""

    classes: ClassVar[dict[str, type[Any]]] = {}
    default: ClassVar[str] = "decoder"

    # Name in `train --model`, which kinds for other tasks may share; empty = all its sizes must be set.
    architecture: ClassVar[str] = ""
    learns: ClassVar[str] = "next tokens"  # what it is trained for, a name in ``clearhead.model.ABILITIES``

    vocabulary: int  # number of token ids
    context: int  # context length in tokens
    layers: int  # number of blocks
    width: int  # width of the residual stream
    tied: bool = True  # whether the output layer is the embedding matrix
    dropout: float = 0.0  # fraction dropped in training, of the embedding and of each part's output

    def __post_init__(self) -> None:
        check_sizes("model", self, "vocabulary", "context", "layers", "width")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model: dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.layers > LAYERS_AT_MOST:
            raise ConfigError(f"model: {self.layers:,} layers; the most that is accepted is {LAYERS_AT_MOST:,}")
        self.check()
        if self.parameters() > PARAMETERS_AT_MOST:
            raise ConfigError(
                f"model: {self.parameters():,} weights; the most that is accepted is {PARAMETERS_AT_MOST:,}"
            )

    def check(self) -> None:
        """Raises ConfigError for mistakes specific to this kind of model."""

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> ModelConfig:
        """A model of this kind with the decoder's vocabulary, context and width, and as many weights, within 2 %.

        Kinds with an ``architecture`` implement it; the dial uses it.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def abilities(self) -> frozenset[str]:
        """What the model can do: names in ``clearhead.model.ABILITIES``."""

    @property
    def matrices(self) -> int:
        """The number of matrices with a row per token: the embedding, and the output layer unless tied."""
        return 1 if self.tied else 2

    @property
    def source_ids(self) -> int:
        """Number of token ids that a text to translate may have."""
        return self.vocabulary

    @abstractmethod
    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""

    def active_parameters(self) -> int:
        """Number of weights used in the forward pass of one token."""
        return self.parameters()

    def inner_parameters(self) -> int:
        """Number of weights without the token embedding and the output layer."""
        return self.parameters() - self.vocabulary * self.width * self.matrices

    @abstractmethod
    def state_numbers(self, places: int) -> int:
        """Numbers in the generation state of one row of this many places; 0 for models that do not generate."""

    @property
    def reach(self) -> int | None:
        """The number of tokens that a prediction of the next one depends on; None = all."""
        return None

    def dilated(self, length: int) -> Self:
        """The config for texts of ``length`` tokens: layers that can be dilated reach that many."""
        return self

    def pass_numbers(self) -> int:
        """Peak numbers per token in a forward pass without gradients, logits excluded."""
        return 16 * self.width

    def attention_numbers(self) -> tuple[int, int, int]:
        """Numbers of a place's queries, keys and values in each attention, if there is any."""
        return self.width, self.width, self.width

    def training_numbers(self) -> int:
        """Numbers per token kept for the backward pass, logits excluded."""
        return 32 * self.width * self.layers

    @property
    def depth(self) -> str:
        """How many layers there are, in words."""
        return many(self.layers, "layer")

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        return {
            "layers": f"{self.layers} of width {self.width}",
            "output layer": "the embedding matrix" if self.tied else "its own matrix",
            "context": f"{self.context:,} tokens",
        }


ARRANGEMENTS = {
    "pre": "before each part",
    "post": "after each sum",
    "output": "on what each part gives",
    "sandwich": "before and after each part",
    "parallel": "before both parts, which read the same input",
}


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(ModelConfig):
    """A stack of Transformer blocks; the defaults are Qwen 3's shape."""

    attention: AttentionConfig
    feed_forward: FeedForwardConfig
    norm: NormConfig = field(default_factory=NormConfig)
    positions: PositionConfig = field(default_factory=PositionConfig)
    # where the norms stand: before each part, after each sum, on each part's output, on both sides of a part, or before
    # two parts that read the same input
    arrangement: Literal["pre", "post", "output", "sandwich", "parallel"] = "pre"
    # tables with window and positions, one per layer and again from the first; replaces attention.window
    pattern: tuple[LayerConfig, ...] = ()
    embedding_scale: float | None = None  # factor on the embedding, rounded to the weights' dtype (Gemma); None = none

    def check(self) -> None:
        """Raises ConfigError for parts that do not fit one another."""
        check_word("model", self, "arrangement", *ARRANGEMENTS)
        check_positive(self, "embedding_scale")
        if self.pattern and self.attention.window is not None:
            raise ConfigError(f"model: attention.window is {self.attention.window} beside a pattern, which has windows")
        experts = self.feed_forward.experts
        dense = () if experts is None else experts.dense
        if dense and (dense[0] < 0 or dense[-1] >= self.layers or len(dense) == self.layers):
            raise ConfigError(
                f"experts: the layers {shown(dense)} are dense, of {self.layers}; some of 0 to {self.layers - 1} can "
                "be, not all"
            )
        for kind in self.pattern or (LayerConfig(),):
            self._check_turned(kind.positions or self.positions)
        if experts is not None and self.layers * experts.count > EXPERTS_AT_MOST:
            raise ConfigError(
                f"model: {self.layers * experts.count:,} experts in all; at most {EXPERTS_AT_MOST:,} are accepted"
            )

    def _check_turned(self, positions: PositionConfig) -> None:
        width = self.attention.head_width
        turned = int(width * positions.rotated)
        if positions.kind != "rotary":
            return
        if turned % 2 or not turned:
            of = f", {turned} of it rotated" if positions.rotated != 1 else ""
            raise ConfigError(
                f"attention: head_width is {width}{of}; rotary positions rotate pairs, so it must be even"
            )
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
        """The LayerConfig of each layer."""
        pattern = self.pattern or (LayerConfig(window=self.attention.window),)
        return tuple(pattern[layer % len(pattern)] for layer in range(self.layers))

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        E, L = self.width, self.layers
        norms = L * (4 if self.arrangement == "sandwich" else 2) + (self.arrangement != "post")
        blocks = L * self.attention.parameters(E) + self.feed_forward.parameters(E, L) + norms * self.norm.parameters(E)
        places = self.positions.parameters(self.context, E, self.attention.heads)
        return blocks + self.vocabulary * E * self.matrices + places

    def active_parameters(self) -> int:
        """Number of weights used in the forward pass of one token, counting only active experts."""
        return self.parameters() - self.feed_forward.idle(self.width, self.layers)

    def pass_numbers(self) -> int:
        """A layer's input, queries, keys, values and outputs, and the inner rows of each active expert."""
        queries, keys, _ = self.attention.projections
        return 4 * self.width + 2 * (queries + keys) + 3 * self.feed_forward.width * self.feed_forward.active

    def attention_numbers(self) -> tuple[int, int, int]:
        """The widths of the projections."""
        return self.attention.projections

    def training_numbers(self) -> int:
        """Per layer: 8 widths, 3 times the projections, 5 inner widths, and more for each extra expert.

        Within a tenth of measured process growth (tests/runs/test_run_memory.py). Trained biases by distance keep all
        weights of attention (backends/sdpa.py): a number per head and key.
        """
        further = self.feed_forward.active - 1
        inner = 5 * self.feed_forward.width * (further + 1)
        inner += self.attention.heads * self.context if self.positions.kind == "relative" else 0
        return self.layers * (8 * self.width + 3 * sum(self.attention.projections) + inner + 3 * self.width * further)

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        a, norm = self.attention, f"{self.norm.kind}, {ARRANGEMENTS[self.arrangement]}"
        extra = (f", soft cap of {a.softcap:g}" if a.softcap else "") + (", sinks" if a.sinks else "")
        whole = super().described()
        parts = {
            "attention": f"{a}{self._windows()}{extra}",
            "feed-forward": str(self.feed_forward),
            "norm": norm,
            "positions": self._places(),
        }
        return {"layers": whole.pop("layers"), **parts, **whole}

    def _windows(self, sides: str = "") -> str:
        sizes = [kind.window for kind in self.kinds if kind.window is not None]
        if not sizes:
            return ""
        some = "" if len(sizes) == self.layers else f" in {len(sizes)} of {self.layers} layers"
        return f", window of {' or '.join(f'{size:,}' for size in sorted(set(sizes)))} tokens{sides}{some}"

    def _places(self) -> str:
        """Each position rule, with its number of layers if there are several."""
        rules = [kind.positions or self.positions for kind in self.kinds]
        counts = {rule: rules.count(rule) for rule in dict.fromkeys(rules)}
        return "; ".join(
            f"{rule}" if count == len(rules) else f"{rule} in {count} of {len(rules)} layers"
            for rule, count in counts.items()
        )


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(TransformerConfig):
    """A decoder: each token sees itself and earlier tokens."""

    kind: ClassVar[str] = "decoder"
    architecture: ClassVar[str] = "transformer"

    logit_softcap: float | None = None  # c in c tanh(logit / c), for the output's logits (Gemma 2); None = none

    def check(self) -> None:
        """Raises ConfigError for parts that do not fit one another."""
        super().check()
        check_positive(self, "logit_softcap")

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> ModelConfig:
        """The decoder itself."""
        return decoder

    @property
    def abilities(self) -> frozenset[str]:
        """It generates text, and its hidden states can be pooled."""
        return frozenset({"next tokens", "vectors"})

    @property
    def reach(self) -> int | None:
        """1 + the sum of (window - 1) over all layers; None if a layer has no window."""
        back = [kind.window - 1 for kind in self.kinds if kind.window is not None]
        return 1 + sum(back) if len(back) == self.layers else None

    def state_numbers(self, places: int) -> int:
        """The keys and values of every layer."""
        _, keys, values = self.attention.projections
        return self.layers * (keys + values) * places


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(TransformerConfig):
    """An encoder: every token sees the whole text, and the embedding is normalised.

    In the "pre" arrangement the embedding's norm replaces the first one (ModernBERT, 2024, 2.1).
    """

    kind: ClassVar[str] = "encoder"
    architecture: ClassVar[str] = "transformer"
    learns: ClassVar[str] = "masked tokens"

    token_types: int = 0  # encoders: number of embeddings that tell the texts of a pair apart
    prediction: PredictionConfig | None = None  # encoders: the head for masked tokens; None = hidden states only
    pooler: bool = False  # encoders: whether there is a tanh layer on the first token

    def check(self) -> None:
        """Raises ConfigError for parts that do not fit one another."""
        super().check()
        if not 0 <= self.token_types <= SIZE_AT_MOST:
            raise ConfigError(f"model: token_types is {shown(self.token_types)}; it must be at least 0")

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> EncoderConfig:
        """ModernBERT's shape (Warner et al. 2024), as close to the decoder's as possible; every layer sees all tokens.

        The heads fill the width. Narrower feed-forwards make room for the layer that predicts masked tokens.
        """
        width, kind = decoder.width, decoder.feed_forward.kind
        heads = nearest_heads(width, decoder.attention.head_width, even=True)

        def made(inner: int) -> EncoderConfig:
            return cls(
                vocabulary=decoder.vocabulary,
                context=decoder.context,
                layers=decoder.layers,
                width=width,
                attention=AttentionConfig(heads=heads, kv_heads=heads, head_width=width // heads, head_norm="none"),
                feed_forward=FeedForwardConfig(kind=kind if kind in GATED else "geglu", width=inner),
                norm=NormConfig(kind="layer", eps=1e-5, bias=False),
                prediction=PredictionConfig(bias=False),
                tied=decoder.tied,
                dropout=decoder.dropout,
            )

        return nearest_in_size(made, decoder.parameters())

    @property
    def abilities(self) -> frozenset[str]:
        """Its hidden states can be pooled, it reads pairs, and with a prediction head it fills masks."""
        return frozenset({"vectors", "pairs"} | ({"masked tokens"} if self.prediction is not None else set[str]()))

    @property
    def matrices(self) -> int:
        """The number of matrices with a row per token. Without a prediction head there is no output layer."""
        return 1 if self.prediction is None else super().matrices

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        E, norm = self.width, self.norm.parameters(self.width)
        count = super().parameters() + (0 if self.arrangement == "pre" else norm) + self.token_types * E
        count += (E + 1) * E if self.pooler else 0
        return count + (0 if self.prediction is None else self.prediction.parameters(self.vocabulary, E, norm))

    def state_numbers(self, places: int) -> int:
        """0: encoders do not generate."""
        return 0

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        heads = {"masked tokens (clearhead fill)": self.prediction is not None, "pooler": self.pooler}
        types = {"token types": str(self.token_types)} if self.token_types else {}
        output = {} if self.prediction is not None else {"output layer": "none"}
        return {
            **super().described(),
            **output,
            "encoder": "every token sees both sides of the text",
            "heads": ", ".join(name for name, there in heads.items() if there) or "none",
            **types,
        }

    def _windows(self, sides: str = " to each side") -> str:
        return super()._windows(sides)


def check_positive(config: ModelConfig, name: str) -> None:
    """Raises ConfigError unless the field is None, or above 0 and finite."""
    value: float | None = getattr(config, name)
    if value is not None and not 0 < value < math.inf:
        raise ConfigError(f"model: {name} is {value}; it must be above 0 and finite, or left out")
