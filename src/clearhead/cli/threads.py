"""The number of OpenMP threads a verb uses."""

from __future__ import annotations

import torch

from clearhead import machine
from clearhead.errors import OptionError


def use_threads(asked: int | None) -> int:
    """Sets the number of threads to ``asked``, or to the fastest of ``measured()``, and returns it.

    Raises OptionError unless it is between 1 and machine.THREADS_AT_MOST.
    """
    if asked is not None and not 1 <= asked <= machine.THREADS_AT_MOST:
        raise OptionError(f"--threads {asked}: must be between 1 and {machine.THREADS_AT_MOST}")
    if asked is None:
        times = measured()
        asked = min(times, key=lambda count: times[count])
    torch.set_num_threads(asked)
    return asked


def measured() -> dict[int, float]:
    """Seconds for matrix-vector products of the size decoding needs, with one thread and with one per core.

    On a busy machine two threads can be far slower than one, hence the measurement. It takes about 20 ms.
    """
    weight, x = torch.ones(2048, 512), torch.ones(512)
    times: dict[int, float] = {}
    for count in sorted({1, machine.thread_limit()}):
        torch.set_num_threads(count)
        times[count] = machine.median_seconds(lambda: [weight @ x for _ in range(8)], 9)
    return times
