"""What this machine has: cores, threads, memory, and how fast its arithmetic is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def free_memory() -> int:
    """Bytes that can be allocated without swapping; the smaller of the machine's and the control group's."""
    limits: list[int] = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    else:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    group, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if group.is_file() and used.is_file() and (limit := group.read_text().strip()) != "max":
        limits.append(int(limit) - int(used.read_text()))
    return max(0, min(limits))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The fastest of several runs of ``work``, in seconds: what it costs when nothing disturbs it."""
    return min(_times(work, repeats))


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of ``work``, in seconds: what it costs on this machine as it is now."""
    times = sorted(_times(work, repeats))
    return times[len(times) // 2]


def seconds_of_product(dtype: torch.dtype) -> float:
    """Time of one 512 x 512 matrix product in ``dtype`` on the processor, in seconds."""
    import torch

    a = torch.ones(512, 512, dtype=dtype)
    return seconds(lambda: a @ a, 5)


def bfloat16_pays() -> bool:
    """True when bfloat16 products take less than half of float32's time; without units they take far longer."""
    import torch

    return 2 * seconds_of_product(torch.bfloat16) < seconds_of_product(torch.float32)


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times
