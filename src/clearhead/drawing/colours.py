"""Colours for weights: every picture uses the same scale, so they can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# From weight 0 to weight 1, evenly spaced in the square root of the weight.
LIGHT = ("#ffffff", "#d3e6f8", "#8cc0ec", "#3f8fd6", "#12549f", "#06204a")
DARK = ("#0c1220", "#17365e", "#2468a8", "#58a6e8", "#b5dcff", "#ffffff")

# From 0 outwards: orange is less, or speaks against; blue is more, or favours.
LESS = ("#ffffff", "#fbd0a8", "#ee8a3c", "#b8480b", "#5f2204")
MORE = ("#ffffff", "#c3dcf2", "#6aa7dc", "#2464ac", "#0a2f63")

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


def hexed(colours: npt.NDArray[np.uint8]) -> list[str]:
    """RGB colours (N, 3), each as ``#rrggbb``."""
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours.tolist()]


def signed(values: npt.NDArray[Any], largest: float) -> npt.NDArray[np.uint8]:
    """RGB colours (..., 3): 0 is white, -largest the end of LESS and largest that of MORE, evenly between."""
    along = np.clip(np.abs(values.astype(np.float64)) / max(largest, 1e-30), 0, 1) * (len(MORE) - 1)
    less, more = (np.array([_rgb(stop) for stop in stops], dtype=np.float64) for stops in (LESS, MORE))
    hues = [
        np.stack([np.interp(along, np.arange(len(stops)), stops[:, n]) for n in range(3)], axis=-1)
        for stops in (less, more)
    ]
    return np.rint(np.where(values[..., None] < 0, *hues)).astype(np.uint8)
