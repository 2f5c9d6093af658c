"""Sizes of released models, which the benchmarks build with random weights."""

from __future__ import annotations

from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, ModelConfig, NormConfig, PositionConfig


def gpt2(context: int = 1024) -> ModelConfig:
    """GPT-2 124M (Radford et al. 2019)."""
    return DecoderConfig(
        vocabulary=50257,
        context=context,
        layers=12,
        width=768,
        attention=AttentionConfig(heads=12, kv_heads=12, head_width=64, bias=True, out_bias=True, head_norm="none"),
        feed_forward=FeedForwardConfig(kind="gelu-tanh", width=3072, bias=True),
        norm=NormConfig(kind="layer", eps=1e-5),
        positions=PositionConfig(kind="learned"),
    )


def llama() -> ModelConfig:
    """A Llama of 162 M parameters (JackFram/llama-160m's sizes)."""
    return DecoderConfig(
        vocabulary=32000,
        context=2048,
        layers=12,
        width=768,
        attention=AttentionConfig(heads=12, kv_heads=12, head_width=64, head_norm="none"),
        feed_forward=FeedForwardConfig(width=3072),
        tied=False,
    )


def qwen3() -> ModelConfig:
    """Qwen 3 0.6B (2025), with room for 4,096 tokens."""
    return DecoderConfig(
        vocabulary=151936,
        context=4096,
        layers=28,
        width=1024,
        attention=AttentionConfig(heads=16, kv_heads=8, head_width=128),
        feed_forward=FeedForwardConfig(width=3072),
        positions=PositionConfig(theta=1_000_000.0),
    )
