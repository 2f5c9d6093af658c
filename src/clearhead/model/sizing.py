"""Widths that give a model of one kind as many weights as a model of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class Counted(Protocol):
    """A config that counts its weights."""

    def parameters(self) -> int:
        """Number of trained parameters."""
        ...


Config = TypeVar("Config", bound=Counted)

STEP = 2  # widths inside the layers are multiples of this; on the dial's ladder, counts then differ by at most 1.2 %


def gated_width(width: int) -> int:
    """The width of a gated feed-forward: as many weights as one of 4 times the width without a gate (Shazeer 2020)."""
    return width * 8 // 3 // 32 * 32


def nearest_in_size(made: Callable[[int], Config], weights: int) -> Config:
    """The model made with the multiple of STEP that comes nearest to ``weights``; the count must grow with it."""
    low, high = 1, 2
    while made(high * STEP).parameters() < weights:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if made(middle * STEP).parameters() < weights else (low, middle)
    return min((made(n * STEP) for n in (low, high)), key=lambda model: abs(model.parameters() - weights))


def with_hidden(config: Callable[..., Config], decoder: Counted, **given: Any) -> Config:
    """The config with the decoder's sizes and the entries given, and ``hidden`` for as many weights as the decoder."""
    shared = {name: getattr(decoder, name) for name in ("vocabulary", "context", "width", "tied", "dropout")}
    return nearest_in_size(lambda hidden: config(**shared, **given, hidden=hidden), decoder.parameters())


def nearest_heads(width: int, head_width: int, *, even: bool = False) -> int:
    """The number of heads that share the width, each about as wide as ``head_width``.

    even: whether a head's width must be even, as for rotary positions
    """
    fitting = [heads for heads in range(1, width + 1) if not width % (heads * (2 if even else 1))] or [1]
    return min(fitting, key=lambda heads: abs(width // heads - head_width))
