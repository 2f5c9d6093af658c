"""The shapes the dial tries: Transformers of rising size, and models of other kinds with as many weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import OptionError
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, ModelConfig
from clearhead.model.sizing import gated_width

# (layers, width). Each rung has about twice the weights of the one below.
LADDER = ((2, 128), (3, 160), (4, 192), (5, 256), (6, 320), (7, 416), (8, 512), (10, 640), (12, 768))


def architectures() -> dict[str, dict[str, str]]:
    """Names for ``train --model``; for each, the kind of config by what it learns."""
    found: dict[str, dict[str, str]] = {DecoderConfig.architecture: {}}
    for kind, config in sorted(ModelConfig.classes.items()):
        if config.architecture:
            found.setdefault(config.architecture, {})[config.learns] = kind
    return found


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
    return equal(decoder, kind)


def equal(decoder: DecoderConfig, kind: str) -> ModelConfig:
    """A model of this kind with as many weights as the decoder (see ``ModelConfig.equal``).

    Raises OptionError for a kind whose sizes cannot be chosen.
    """
    found = ModelConfig.classes.get(kind)
    if found is None or not found.architecture:
        known = ", ".join(sorted(kind for kinds in architectures().values() for kind in kinds.values()))
        raise OptionError(f"model.kind {kind!r}: sizes can only be chosen for {known}; set the whole shape of this one")
    return found.equal(decoder)
