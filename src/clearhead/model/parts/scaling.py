"""How fast each pair of a head turns: rotary rates, and what scaling for longer texts makes of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clearhead.model.parts.config import PositionConfig, ScalingConfig


def rates(config: PositionConfig, width: int, long: bool) -> tuple[Tensor, float]:
    """rates_P in radians per place of the pairs of ``width`` numbers, in float32, and the factor on what is turned.

    theta^(-2 i / width) (Su et al. 2021, 3.2.2), scaled as the config says. long: for a text
    that is longer than the original context (LongRoPE).
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    # Times the reciprocal, as transformers has it: a quotient rounds otherwise, by 6e-5 radians at place 2,000.
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


def _or(chosen: float | None, otherwise: float) -> float:
    return otherwise if chosen is None else chosen


def _llama3(scaling: ScalingConfig, rates_P: Tensor) -> Tensor:
    """Long waves stretched, short ones kept, a blend between (Llama 3.1, 2024)."""
    wavelengths_P = 2 * math.pi / rates_P
    blend_P = (scaling.original / wavelengths_P - scaling.low) / (scaling.high - scaling.low)
    blended_P = (1 - blend_P) * rates_P / scaling.factor + blend_P * rates_P
    stretched_P = torch.where(wavelengths_P > scaling.original / scaling.low, rates_P / scaling.factor, blended_P)
    return torch.where(wavelengths_P < scaling.original / scaling.high, rates_P, stretched_P)


def _yarn(scaling: ScalingConfig, theta: float, waves_P: Tensor) -> Tensor:
    """Pairs that turn often over the original context kept, rare ones stretched (Peng et al. 2023, 3.2)."""
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
    """Which pair makes so many turns over the original context."""
    return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))


def _yarn_factor(scaling: ScalingConfig) -> float:
    """Peng et al. 2023, 3.4, on queries and keys each."""
    return 1.0 if scaling.factor <= 1 else 0.1 * math.log(scaling.factor) + 1.0


def _longrope_factor(scaling: ScalingConfig) -> float:
    """Ding et al. 2024, "LongRoPE", as Phi-3 has it."""
    return 1.0 if scaling.factor <= 1 else math.sqrt(1 + math.log(scaling.factor) / math.log(scaling.original))
