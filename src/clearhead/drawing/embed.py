"""What all files share: how much is written in full, what stands in for it where that would be too much, progress."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearhead.watching import TextRecord

OnHead = Callable[[int, int], None]  # hears (heads done, heads)

# Weights (heads x queries x keys) written in full: 2**21 are 11 MB in a page and about 20 MB as JSON. All heads of
# GPT-2 for 120 tokens, of a model with 16 heads for 362.
FULL = 2**21

# Else the top keys of every query: at most TOP, and so few that all rows together hold 2**22 of them, at least 1.
TOP, TOPS = 8, 2**22

# And, in a page, images of at most LARGEST cells a side, all heads together at most 6 million cells.
LARGEST, CELLS = 512, 6_000_000


def head_count(record: TextRecord) -> int:
    """Heads of all sites together."""
    return sum(record.heads(site) for site in record.seen())


def in_full(record: TextRecord) -> bool:
    """True when every weight is written."""
    Q, K = record.shape
    return head_count(record) * Q * K <= FULL


def top_count(record: TextRecord) -> int:
    """How many top keys of each query are written where not every weight is."""
    Q, K = record.shape
    return max(1, min(TOP, K, TOPS // (head_count(record) * Q)))


def image_side(record: TextRecord) -> int:
    """Cells a side of the images in a page where not every weight is written."""
    return min(LARGEST, math.isqrt(CELLS // head_count(record)))
