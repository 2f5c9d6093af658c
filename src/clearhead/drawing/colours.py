"""Colours for weights: every picture uses the same scale, so they can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# From weight 0 to weight 1, evenly spaced in the square root of the weight.
LIGHT = ("#ffffff", "#d3e6f8", "#8cc0ec", "#3f8fd6", "#12549f", "#06204a")
DARK = ("#0c1220", "#17365e", "#2468a8", "#58a6e8", "#b5dcff", "#ffffff")

# From 0 outwards: what favours something in blue, what speaks against it in orange.
SIGNED = {1: ("#ffffff", "#8cc0ec", "#12549f"), -1: ("#ffffff", "#fdba74", "#9a3412")}

# A key hidden from the query: a hue that no weight has.
HIDDEN_LIGHT, HIDDEN_DARK = "#ddd3bf", "#463a26"

# The query and its top keys.
QUERY_LIGHT, QUERY_DARK = "#c2410c", "#ffa04d"

# Marks a hidden cell among weights, which lie in 0..1.
HIDDEN = -1.0

Weights = npt.NDArray[np.float32]


def paint(weights: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """RGB colours (..., 3) of weights in 0..1, HIDDEN where a key is not visible.

    The scale is in the square root of the weight: 0.01 sits at a tenth of it, not at a hundredth.
    """
    stops = np.array([_rgb(stop) for stop in LIGHT], dtype=np.float64)
    along = np.sqrt(np.clip(weights.astype(np.float64), 0, 1)) * (len(stops) - 1)
    colours = np.stack([np.interp(along, np.arange(len(stops)), stops[:, n]) for n in range(3)], axis=-1)
    colours[weights == HIDDEN] = _rgb(HIDDEN_LIGHT)
    return np.rint(colours).astype(np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def dark(colour: str) -> bool:
    """Whether text on this ``#rrggbb`` colour has to be light."""
    return sum(int(colour[n : n + 2], 16) for n in (1, 3, 5)) < 384


def hexed(weights: npt.NDArray[Any]) -> list[str]:
    """``paint`` of a row of weights, each colour as ``#rrggbb``."""
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in paint(weights).tolist()]


def signed(values: npt.NDArray[Any], largest: float) -> npt.NDArray[np.uint8]:
    """RGB colours (..., 3): 0 is white, -largest and largest the ends of two hues, evenly between."""
    ends = {sign: [np.array(_rgb(stop), dtype=np.float64) for stop in stops] for sign, stops in SIGNED.items()}
    share = np.clip(np.abs(values.astype(np.float64)) / max(largest, 1e-30), 0, 1) * (len(SIGNED[1]) - 1)
    along = np.arange(len(SIGNED[1]))
    hues = {
        sign: np.stack([np.interp(share, along, [stop[n] for stop in stops]) for n in range(3)], axis=-1)
        for sign, stops in ends.items()
    }
    return np.rint(np.where(values[..., None] < 0, hues[-1], hues[1])).astype(np.uint8)
