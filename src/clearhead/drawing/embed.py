"""What all files share: how much is written in full, what stands in for it where that would be too much, progress."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearhead.watching.observation import Observation

Progress = Callable[[int, int], None]  # hears (heads done, heads)

# Weights (heads x queries x keys) written in full: 2**21 are 11 MB in a page and about 20 MB as JSON. All heads of
# GPT-2 for 120 tokens, of a model with 16 heads for 362.
FULL = 2**21

# Else the top keys of every query: at most TOP, and so few that all rows together hold 2**22 of them, at least 1.
TOP, TOPS = 8, 2**22

# And, in a page, images of at most LARGEST cells a side, all heads together at most 6 million cells.
LARGEST, CELLS = 512, 6_000_000


def head_count(observation: Observation) -> int:
    """Heads of all sites together."""
    return sum(observation.heads(site) for site in observation.seen())


def in_full(observation: Observation) -> bool:
    """True when every weight is written."""
    Q, K = observation.shape
    return head_count(observation) * Q * K <= FULL


def top_count(observation: Observation) -> int:
    """How many top keys of each query are written where not every weight is."""
    Q, K = observation.shape
    return max(1, min(TOP, K, TOPS // (head_count(observation) * Q)))


def image_side(observation: Observation) -> int:
    """Cells a side of the images in a page where not every weight is written."""
    return min(LARGEST, math.isqrt(CELLS // head_count(observation)))
