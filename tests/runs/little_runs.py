"""Small texts, models and trainings that several tests of runs share."""

from __future__ import annotations

from dataclasses import replace

from clearhead.model import AttentionConfig, DecoderConfig, ExpertsConfig, FeedForwardConfig
from clearhead.recipes import TextConfig
from clearhead.training import TrainConfig
from little_configs import QWEN3

TEXT = "From a text to a folder. " * 30
MODEL = replace(QWEN3, vocabulary=257, context=8, layers=1)
MIDDLING = DecoderConfig(
    vocabulary=1024,
    context=256,
    layers=4,
    width=128,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=32),
    feed_forward=FeedForwardConfig(width=352),
)
MIXTURE = replace(MIDDLING, feed_forward=FeedForwardConfig(width=352, experts=ExpertsConfig(count=3, active=2)))
TRAIN = TrainConfig(steps=3, batch=2, threads=1)


def quiet(line: str) -> None:
    pass


def config(*sources: str, **options) -> TextConfig:
    return TextConfig(sources=sources, **{"tokenizer": "bytes", **options})
