"""How many OpenMP threads a verb uses."""

from __future__ import annotations

import torch

from clearhead import machine
from clearhead.errors import OptionError


def use_threads(asked: int | None) -> int:
    """Sets the number asked for, or the fastest of ``measured``; returns it.

    Raises OptionError for a number below 1 or beyond measure.
    """
    if asked is not None and not 1 <= asked <= machine.THREADS_AT_MOST:
        raise OptionError(f"--threads {asked}: must be 1 or more, and at most {machine.THREADS_AT_MOST}")
    if asked is None:
        times = measured()
        asked = min(times, key=lambda count: times[count])
    torch.set_num_threads(asked)
    return asked


def measured() -> dict[int, float]:
    """Seconds for matrix-vector products of decoding's size, by number of threads: one, and as many as cores.

    Two threads that share a busy machine can be far slower than one, so it is measured, in about 20 milliseconds.
    """
    weight, x = torch.ones(2048, 512), torch.ones(512)
    times: dict[int, float] = {}
    for count in sorted({1, machine.cores()}):
        torch.set_num_threads(count)
        times[count] = machine.median_seconds(lambda: [weight @ x for _ in range(8)], 9)
    return times
