"""The shapes the dial tries: Transformers of rising size, and models of other kinds with as many weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clearhead.errors import OptionError
from clearhead.model import (
    AttentionConfig,
    AttentiveConfig,
    ConvolutionConfig,
    ConvolutionTranslatorConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    GRUAttentionConfig,
    GRUConfig,
    GRUTranslatorConfig,
    LSTMAttentionConfig,
    LSTMConfig,
    LSTMTranslatorConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    RecurrentConfig,
    RecurrentTranslatorConfig,
)

# (layers, width). Each rung has about twice the weights of the one below.
LADDER = ((2, 128), (3, 160), (4, 192), (5, 256), (6, 320), (7, 416), (8, 512), (10, 640), (12, 768))

GATED = ("geglu", "swiglu")  # the feed-forwards of ModernBERT's shape that a decoder may share
STEP = 2  # hidden widths are multiples of this; on the ladder, weight counts then differ by at most 1.2 %

# Values of `train --model`, with the kind of config of each, by what is predicted.
MODELS: dict[str, dict[str, str]] = {
    "transformer": {
        "next tokens": DecoderConfig.kind,
        "masked tokens": EncoderConfig.kind,
        "text to text": EncoderDecoderConfig.kind,
    },
    "lstm": {"next tokens": LSTMConfig.kind},
    "gru": {"next tokens": GRUConfig.kind},
    "lstm-attention": {"next tokens": LSTMAttentionConfig.kind, "text to text": LSTMTranslatorConfig.kind},
    "gru-attention": {"next tokens": GRUAttentionConfig.kind, "text to text": GRUTranslatorConfig.kind},
    "convolution": {"next tokens": ConvolutionConfig.kind, "text to text": ConvolutionTranslatorConfig.kind},
}

TRANSLATORS = {by_ability["text to text"] for by_ability in MODELS.values() if "text to text" in by_ability}


def kinds() -> set[str]:
    """The kinds of config whose sizes can be chosen."""
    return {kind for by_ability in MODELS.values() for kind in by_ability.values()}


def kind_of(model: Mapping[str, Any]) -> str:
    """The kind that a model table names, or a Transformer."""
    return model.get("kind", DecoderConfig.kind)


def shape(rung: int, vocabulary: int, context: int, kind: str = DecoderConfig.kind) -> ModelConfig:
    """One rung of the ladder, in the shape of Qwen 3, or as another kind with as many weights."""
    layers, width = LADDER[rung]
    head_width = 32 if width <= 320 else 64
    heads = max(1, width // head_width)
    decoder = DecoderConfig(
        vocabulary=vocabulary,
        context=context,
        layers=layers,
        width=width,
        attention=AttentionConfig(heads=heads, kv_heads=heads, head_width=head_width),
        feed_forward=FeedForwardConfig(width=gated_width(width)),
        tied=True,
    )
    return decoder if kind == DecoderConfig.kind else equal(decoder, kind)


def gated_width(width: int) -> int:
    """The width of a gated feed-forward: as many weights as one of 4 times the width without a gate (Shazeer 2020)."""
    return width * 8 // 3 // 32 * 32


def equal(decoder: DecoderConfig, kind: str) -> ModelConfig:
    """A model of this kind with the decoder's vocabulary, context and width, and as many weights, within 2 %.

    Recurrences have half as many layers, convolutions twice as many, encoders the same, translators half in each stack
    (convolutional ones as many); a width inside the layers makes the number of weights fit. Raises OptionError for a
    kind without such a rule.
    """
    if kind == EncoderConfig.kind:
        return _encoder(decoder)
    if kind == EncoderDecoderConfig.kind:
        return _translator(decoder)
    names = ("vocabulary", "context", "width", "tied", "dropout", "norm")
    given: dict[str, Any] = {name: getattr(decoder, name) for name in names}
    found = ModelConfig.classes.get(kind, ModelConfig)
    if issubclass(found, RecurrentConfig):
        given["layers"] = -(-decoder.layers // 2)
    elif issubclass(found, ConvolutionConfig):
        given["layers"] = 2 * decoder.layers
    elif issubclass(found, RecurrentTranslatorConfig):
        given["layers"], given["encoder_layers"] = max(1, decoder.layers // 2), -(-decoder.layers // 2)
    elif issubclass(found, ConvolutionTranslatorConfig):
        given["layers"] = given["encoder_layers"] = decoder.layers
        del given["norm"]
    else:
        known = ", ".join(sorted(kinds()))
        raise OptionError(f"model.kind {kind!r}: sizes can only be chosen for {known}; set the whole shape of this one")
    if issubclass(found, AttentiveConfig | RecurrentTranslatorConfig):
        given["attention"] = replace(decoder.attention, window=None)
    return _nearest(lambda hidden: found(**given, hidden=hidden), decoder.parameters())


def _encoder(decoder: DecoderConfig) -> ModelConfig:
    """ModernBERT's shape (Warner et al. 2024), as near to the decoder's as it allows: its layers see all tokens.

    Its heads fill the width. The layer that predicts masked tokens is paid for by narrower feed-forwards.
    """
    width, wanted = decoder.width, decoder.attention.head_width
    fitting = [n for n in range(1, width + 1) if not width % (2 * n)] or [1]  # rotary positions need even heads
    heads = min(fitting, key=lambda n: abs(width // n - wanted))
    kind = decoder.feed_forward.kind

    def made(inner: int) -> EncoderConfig:
        return EncoderConfig(
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

    return _nearest(made, decoder.parameters())


def _translator(decoder: DecoderConfig) -> ModelConfig:
    """Marian's shape, half of the layers in each stack, with as many weights as the decoder.

    (Junczys-Dowmunt et al. 2018: the Transformer of Vaswani et al. 2017 with swish.)
    """
    width, wanted = decoder.width, decoder.attention.head_width
    heads = min((n for n in range(1, width + 1) if not width % n), key=lambda n: abs(width // n - wanted))

    def made(inner: int) -> EncoderDecoderConfig:
        return EncoderDecoderConfig(
            vocabulary=decoder.vocabulary,
            context=decoder.context,
            layers=max(1, decoder.layers // 2),
            encoder_layers=-(-decoder.layers // 2),
            width=width,
            attention=AttentionConfig(
                heads=heads, kv_heads=heads, head_width=width // heads, bias=True, out_bias=True, head_norm="none"
            ),
            feed_forward=FeedForwardConfig(kind="silu", width=inner, bias=True),
            norm=NormConfig(kind="layer", eps=1e-5),
            positions=PositionConfig(kind="sinusoidal"),
            arrangement="post",
            embedding_scale=math.sqrt(width),
            output_bias=True,
            tied=decoder.tied,
            dropout=decoder.dropout,
        )

    return _nearest(made, decoder.parameters())


def _nearest(make: Callable[[int], ModelConfig], weights: int) -> ModelConfig:
    """Of the models made with multiples of STEP, the one with the nearest weight count, which must grow with them."""
    low, high = 1, 2
    while make(high * STEP).parameters() < weights:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if make(middle * STEP).parameters() < weights else (low, middle)
    return min((make(n * STEP) for n in (low, high)), key=lambda model: abs(model.parameters() - weights))
