"""How many OpenMP threads a verb uses."""

from __future__ import annotations

import torch

from clearhead import machine
from clearhead.errors import OptionError


def use_threads(asked: int | None) -> int:
    """Sets the number asked for, or the faster of one and all cores for products of decoding's size; returns it.

    Two threads that share a busy machine can be far slower than one, so it is measured, in about 20 milliseconds.
    Raises OptionError for a number below 1.
    """
    if asked is not None and asked < 1:
        raise OptionError(f"--threads {asked}: must be 1 or more")
    count = asked if asked is not None else fastest()
    torch.set_num_threads(count)
    return count


def fastest() -> int:
    """1 or all cores: whichever runs a row of matrix-vector products faster, by the median of several."""
    weight, x = torch.ones(2048, 512), torch.ones(512)
    times: dict[int, float] = {}
    for count in (1, machine.cores()):
        torch.set_num_threads(count)
        times[count] = machine.median_seconds(lambda: [weight @ x for _ in range(8)], 9)
    return min(times, key=lambda count: times[count])
