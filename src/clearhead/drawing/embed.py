"""What all output files share: when every weight is written, what replaces the weights otherwise, and progress."""

from __future__ import annotations

import math
from collections.abc import Callable

from clearhead.tap import Site
from clearhead.watching import TextRecord

OnHead = Callable[[int, int], None]  # called with (heads done, heads)

# Up to this many weights (heads x queries x keys), all are written: 11 MB in a page, about 20 MB as JSON. That is
# 120 tokens with all heads of GPT-2, or 362 with 16 heads.
FULL = 2**21

# Beyond that, the top keys of each query: at most TOP, and at most TOPS in all, but at least 1 per query.
TOP, TOPS = 8, 2**22

# In a page, also images of at most LARGEST cells a side, and at most CELLS cells for all heads together.
LARGEST, CELLS = 512, 6_000_000


def head_count(record: TextRecord) -> int:
    """Number of heads at all sites together."""
    return sum(record.heads(site) for site in record.seen())


def in_full(record: TextRecord) -> bool:
    """True if every weight is written."""
    return sum(record.heads(site) * math.prod(record.map(site, 0).shape) for site in record.seen()) <= FULL


def top_count(record: TextRecord, site: Site) -> int:
    """Number of top keys written per query of a site, if not every weight is."""
    rows = sum(record.heads(each) * record.map(each, 0).shape[0] for each in record.seen())
    return max(1, min(TOP, record.map(site, 0).shape[1], TOPS // rows))


def image_side(record: TextRecord) -> int:
    """Side, in cells, of the images in a page, if not every weight is written."""
    return min(LARGEST, math.isqrt(CELLS // head_count(record)))
