"""Small models in shapes that llama.cpp has, with a tokenizer, as files of its format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import little_models

from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.model import (
    AttentionConfig,
    DecoderConfig,
    FeedForwardConfig,
    LayerConfig,
    NormConfig,
    PositionConfig,
    ScalingConfig,
)
from clearhead.text import Tokenizer

VOCABULARY = 320  # more rows than tokens
TEXT = "The quick brown fox jumps over the lazy dog, and the dog's 12 pups saw it. 你好，世界！\n\n  It ran.\n" * 30
TOKENIZER = Tokenizer.train_bpe([TEXT], 310, units="bytes")
PLAIN = AttentionConfig(heads=4, kv_heads=2, head_width=16, head_norm="none")
LLAMA = DecoderConfig(
    vocabulary=VOCABULARY,
    context=256,
    layers=3,
    width=64,
    tied=False,
    attention=PLAIN,
    feed_forward=FeedForwardConfig(width=96),
    norm=NormConfig(eps=1e-5),
)
GEMMA2 = replace(
    LLAMA,
    tied=True,
    arrangement="sandwich",
    embedding_scale=8.0,
    logit_softcap=30.0,
    attention=replace(PLAIN, softcap=50.0),
    pattern=(LayerConfig(window=20), LayerConfig(window=None)),
    feed_forward=FeedForwardConfig(kind="geglu-tanh", width=96),
    norm=NormConfig(eps=1e-6, offset=1.0),
)
LOCAL = PositionConfig(theta=10_000.0)
CONFIGS: dict[str, DecoderConfig] = {
    "gpt2": replace(
        LLAMA,
        tied=True,
        attention=replace(PLAIN, kv_heads=4, bias=True, out_bias=True),
        feed_forward=FeedForwardConfig(kind="gelu-tanh", width=96, bias=True),
        norm=NormConfig(kind="layer", eps=1e-5),
        positions=PositionConfig(kind="learned"),
    ),
    "llama": LLAMA,
    "llama tied, biases": replace(
        LLAMA,
        tied=True,
        attention=replace(PLAIN, bias=True, out_bias=True),
        feed_forward=FeedForwardConfig(width=96, bias=True),
        positions=PositionConfig(theta=500_000.0),
    ),
    "llama 3.1": replace(LLAMA, positions=PositionConfig(scaling=ScalingConfig(kind="llama3", factor=8.0))),
    "llama linear": replace(LLAMA, positions=PositionConfig(scaling=ScalingConfig(kind="linear", factor=2.0))),
    "qwen2": replace(LLAMA, attention=replace(PLAIN, bias=True)),
    "qwen3": replace(LLAMA, attention=replace(PLAIN, head_width=32, head_norm="head"), tied=True),
    "gemma2": GEMMA2,
    "gemma3": replace(
        GEMMA2,
        layers=7,
        logit_softcap=None,
        attention=replace(PLAIN, head_norm="head"),
        positions=PositionConfig(theta=1_000_000.0),
        pattern=(*(LayerConfig(window=20, positions=LOCAL) for _ in range(5)), LayerConfig(window=None)),
    ),
}


def folder(place: Path, config: DecoderConfig) -> Path:
    """A folder of the config's family, with lively weights."""
    hub.save(place, LanguageModel(little_models.lively(config), TOKENIZER))
    return place
