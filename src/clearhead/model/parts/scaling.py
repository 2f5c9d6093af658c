"""Rotary frequencies, and how they are scaled for longer texts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clearhead.model.parts.config import PositionConfig, ScalingConfig


def rates(config: PositionConfig, width: int, long: bool) -> tuple[Tensor, float]:
    """rates_P, the frequencies of ``width`` / 2 pairs in radians per place, in float32, and a factor on q and k.

    theta^(-2 i / width) (Su et al. 2021, 3.2.2), scaled as the config says. long: the text is longer than the original
    context (LongRoPE).
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    # Multiply by the reciprocal, like transformers: dividing rounds differently, by 6e-5 radians at place 2,000.
    waves_P = config.theta**exponents
    scaling = config.scaling
    if scaling is None:
        return 1.0 / waves_P, 1.0
    if scaling.kind == "linear":  # Chen et al. 2023, "Position Interpolation"
        return 1.0 / waves_P / scaling.factor, 1.0
    if scaling.kind == "llama3":
        return _llama3(scaling, 1.0 / waves_P), 1.0
    if scaling.kind == "yarn":
        return _yarn(scaling, config.theta, waves_P), _or(scaling.attention, _yarn_factor(scaling))
    divisors = torch.tensor(scaling.long if long else scaling.short, dtype=torch.float32)
    return 1.0 / (divisors * waves_P), _or(scaling.attention, _longrope_factor(scaling))


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _llama3(scaling: ScalingConfig, rates_P: Tensor) -> Tensor:
    """Stretches long waves, keeps short ones, and blends in between (Llama 3.1, 2024)."""
    wavelengths_P = 2 * math.pi / rates_P
    blend_P = (scaling.original / wavelengths_P - scaling.low) / (scaling.high - scaling.low)
    blended_P = (1 - blend_P) * rates_P / scaling.factor + blend_P * rates_P
    stretched_P = torch.where(wavelengths_P > scaling.original / scaling.low, rates_P / scaling.factor, blended_P)
    return torch.where(wavelengths_P < scaling.original / scaling.high, rates_P, stretched_P)


def _yarn(scaling: ScalingConfig, theta: float, waves_P: Tensor) -> Tensor:
    """Keeps pairs that turn often over the original context, stretches the others (Peng et al. 2023, 3.2)."""
    pairs = len(waves_P)
    first, last = (_pair(scaling.original, turns, theta, 2 * pairs) for turns in (scaling.fast, scaling.slow))
    if scaling.whole:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    if first == last:
        last += 0.001
    stretched_P = ((torch.arange(pairs, dtype=torch.float32) - first) / (last - first)).clamp(0, 1)
    kept_P = 1 - stretched_P
    return 1.0 / (scaling.factor * waves_P) * (1 - kept_P) + 1.0 / waves_P * kept_P


def _pair(original: int, turns: float, theta: float, width: int) -> float:
    """The (fractional) index of the pair that makes this many turns over the original context."""
    return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))


def _yarn_factor(scaling: ScalingConfig) -> float:
    """The factor on queries and on keys (Peng et al. 2023, 3.4)."""
    return 1.0 if scaling.factor <= 1 else 0.1 * math.log(scaling.factor) + 1.0


def _longrope_factor(scaling: ScalingConfig) -> float:
    """The factor on queries and on keys (Ding et al. 2024, "LongRoPE"; Phi-3)."""
    return 1.0 if scaling.factor <= 1 else math.sqrt(1 + math.log(scaling.factor) / math.log(scaling.original))
