"""The shapes the dial tries: Transformers of rising size, and models of other kinds with as many weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clearhead.errors import OptionError
from clearhead.model import (
    AttentionConfig,
    AttentiveConfig,
    ConvolutionConfig,
    DecoderConfig,
    FeedForwardConfig,
    ModelConfig,
    RecurrentConfig,
)

# (layers, width). Each rung has about twice the weights of the one below.
LADDER = ((2, 128), (3, 160), (4, 192), (5, 256), (6, 320), (7, 416), (8, 512), (10, 640), (12, 768))

STEP = 2  # hidden widths are multiples of this; on the ladder, weight counts then differ by at most 1.2 %

# Values of `train --model`, with the kind of config of each.
MODELS = {
    "transformer": DecoderConfig.kind,
    **{kind: kind for kind in ("lstm", "gru", "lstm-attention", "gru-attention", "convolution")},
}


def sized_as(model: Mapping[str, Any]) -> str:
    """The kind by which a model table's sizes are chosen: its own, or a Transformer if its own has no rule."""
    kind = model.get("kind", DecoderConfig.kind)
    return kind if kind in MODELS.values() else DecoderConfig.kind


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
        feed_forward=FeedForwardConfig(width=width * 8 // 3 // 32 * 32),
        tied=True,
    )
    return decoder if kind == DecoderConfig.kind else equal(decoder, kind)


def equal(decoder: DecoderConfig, kind: str) -> ModelConfig:
    """A model of this kind with the decoder's vocabulary, context and width, and as many weights, within 2 %.

    Recurrences have half as many layers, convolutions twice as many; the hidden width makes the number of weights fit.
    Raises OptionError for a kind without such a rule.
    """
    names = ("vocabulary", "context", "width", "tied", "dropout", "norm")
    given: dict[str, Any] = {name: getattr(decoder, name) for name in names}
    found = ModelConfig.classes.get(kind, ModelConfig)
    if issubclass(found, RecurrentConfig):
        given["layers"] = -(-decoder.layers // 2)
    elif issubclass(found, ConvolutionConfig):
        given["layers"] = 2 * decoder.layers
    else:
        known = ", ".join(MODELS)
        raise OptionError(f"model.kind {kind!r}: sizes can only be chosen for {known}; set the whole shape of this one")
    if issubclass(found, AttentiveConfig):
        given["attention"] = replace(decoder.attention, window=None)
    return _nearest(lambda hidden: found(**given, hidden=hidden), decoder.parameters())


def _nearest(make: Callable[[int], ModelConfig], weights: int) -> ModelConfig:
    """Of the models made with multiples of STEP, the one with the nearest weight count, which must grow with them."""
    low, high = 1, 2
    while make(high * STEP).parameters() < weights:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if make(middle * STEP).parameters() < weights else (low, middle)
    return min((make(n * STEP) for n in (low, high)), key=lambda model: abs(model.parameters() - weights))
