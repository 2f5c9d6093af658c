"""Colours for weights: every picture uses the same scale, so they can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# From weight 0 to weight 1, evenly spaced in the square root of the weight.
LIGHT = ("#ffffff", "#d3e6f8", "#8cc0ec", "#3f8fd6", "#12549f", "#06204a")
DARK = ("#0c1220", "#17365e", "#2468a8", "#58a6e8", "#b5dcff", "#ffffff")

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


# From a change of -1 over none to one of 1, for pictures of changes: orange is less, blue more.
LESS = ("#ffffff", "#fbd0a8", "#ee8a3c", "#b8480b", "#5f2204")
MORE = ("#ffffff", "#c3dcf2", "#6aa7dc", "#2464ac", "#0a2f63")


def signed(share: float) -> str:
    """The ``#rrggbb`` colour of a change, as a share in -1..1 of the largest."""
    stops = [_rgb(stop) for stop in (MORE if share > 0 else LESS)]
    along = min(abs(share), 1.0) * (len(stops) - 1)
    low = min(int(along), len(stops) - 2)
    mixed = (round(a + (b - a) * (along - low)) for a, b in zip(stops[low], stops[low + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)
