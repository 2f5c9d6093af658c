"""Little models whose heads differ in every way that this package has, and a text they all read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, NormConfig, PositionConfig, build
from little_configs import BERT, GPT2, QWEN3
from looked import BYTES

TEXT = "我 see it"  # a character of three bytes, and more than the window below


def _with(config: ModelConfig, *, norm: NormConfig | None = None, rotated: float | None = None, **options: Any) -> Any:
    config = replace(config, vocabulary=BYTES.vocab_size, attention=replace(config.attention, **options))
    if norm is not None:
        config = replace(config, norm=norm)
    return config if rotated is None else replace(config, positions=PositionConfig(rotated=rotated))


KINDS: dict[str, ModelConfig] = {
    "grouped, normed, rotated": _with(QWEN3),
    "biases, learned places": _with(GPT2),
    "sees both sides": _with(BERT),
    "window": _with(QWEN3, window=4),
    "soft cap and own scale": _with(QWEN3, softcap=3.0, scale=0.3),
    "sinks": _with(QWEN3, sinks=True, head_norm="none"),
    "normed over all heads": _with(QWEN3, head_norm="projection"),
    "offset norm, partly rotated": _with(QWEN3, norm=NormConfig(offset=1.0), rotated=2 / 3),
    "window to both sides": _with(BERT, window=3),
}


def lively(kind: str, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A model of random weights, large enough that attention is uneven; norms and biases not what they start at."""
    network = build(KINDS[kind], seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(0.3 * noise)
    return LanguageModel(network.to(dtype).eval(), BYTES, name="little")
