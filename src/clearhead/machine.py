"""What this machine has: cores, threads, memory, and how fast its arithmetic is."""

from __future__ import annotations

import ctypes
import math
import os
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clearhead.errors import MemoryNeededError

if TYPE_CHECKING:
    import torch

MEMINFO = Path("/proc/meminfo")
OWN_GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h

UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}  # as torch writes sizes

PAYS = 0.75  # of float32's time: the most that a product in half precision may take to be worth it

THREADS_AT_MOST = 1024  # a larger number is a slip; the library starts as many as it is told


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that can be allocated on the device; on the processor without swapping, in this and all control groups.

    Where the system does not tell what is free (it is read from Linux's files), all there is.
    """
    if _is_cuda(device):
        import torch

        # What was freed torch keeps for the next tensors; to the driver it is taken.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if MEMINFO.is_file():
        known = _named_numbers(MEMINFO)
        limits = [known.get("MemAvailable:", known["MemFree:"]) * 1024]  # some containers tell what is free only
    else:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    return max(0, int(min(limits + [_free_in(group) for group in _groups()])))


def check_free(need: int, device: torch.device | str, what: str, way: str) -> None:
    """Raises MemoryNeededError when fewer than ``need`` bytes are free there: ``what`` needs them, and the way out."""
    free = free_memory(device)
    if need > free:
        where = f" on {device}" if _is_cuda(device) else ""
        raise MemoryNeededError(f"{what}; {free / 1e9:.1f} GB are free{where}{way and f'; {way}'}")


def shortage(error: RuntimeError) -> str | None:
    """What torch could not allocate, for a message: "268.4 MB"; None for an error of another kind.

    On CUDA the error has a class of its own; on the processor only its words tell it (c10/core/impl/alloc_cpu.cpp).
    """
    import torch

    if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator: " not in str(error):
        return None
    size = re.search(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", str(error))
    return "what was asked for" if size is None else f"{float(size[1]) * UNITS[size[2]] / 1e6:,.1f} MB"


def _is_cuda(device: torch.device | str) -> bool:
    return str(device).startswith("cuda")


def _groups() -> list[Path]:
    """The folders of the control groups (version 2) this process is in, the innermost first."""
    if not OWN_GROUP.is_file():
        return []
    own = next((line[3:] for line in OWN_GROUP.read_text(encoding="utf-8").splitlines() if line.startswith("0::")), "/")
    inner = GROUPS / own.strip("/")
    outer = [folder for folder in (inner, *inner.parents) if folder == GROUPS or GROUPS in folder.parents]
    return [folder for folder in outer if (folder / "memory.max").is_file()]


def _free_in(group: Path) -> float:
    limit = (group / "memory.max").read_text().strip()
    if limit == "max":
        return math.inf
    # What was read from files stays in memory until somebody needs the place, and is counted as used.
    stat = _named_numbers(group / "memory.stat")
    cached = stat.get("inactive_file", 0) + stat.get("active_file", 0)
    return int(limit) - int((group / "memory.current").read_text()) + cached


def _named_numbers(file: Path) -> dict[str, int]:
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {words[0]: int(words[1]) for words in lines}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The fastest of several runs of ``work``, in seconds: what it costs when nothing disturbs it."""
    return min(_times(work, repeats))


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of ``work``, in seconds: what it costs on this machine as it is now."""
    times = sorted(_times(work, repeats))
    return times[len(times) // 2]


def seconds_of_product(dtype: torch.dtype) -> float:
    """Time of one 256 x 256 matrix product in ``dtype`` on the processor, in seconds.

    Half precision takes 0.1 ms with units for it and 0.1 s without: a larger product would be a wait.
    """
    import torch

    a = torch.ones(256, 256, dtype=dtype)
    return seconds(lambda: a @ a, 5)


def device() -> str:
    """Where models are trained and run: "cuda" when torch can use one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def share_of_float32(dtype: torch.dtype) -> float:
    """Time of a product in ``dtype`` on this processor over that of one in float32, measured once in a process."""
    import torch

    return seconds_of_product(dtype) / seconds_of_product(torch.float32)


def half_pays(dtype: torch.dtype) -> bool:
    """True when products of this dtype take less than 3/4 of float32's time on this processor (docs/design.md, 9).

    The limit is far from what was measured so far, 0.45 to 0.5 with units for bfloat16 and 1,000 without, so that one
    machine gives one answer.
    """
    return share_of_float32(dtype) < PAYS


def bfloat16_pays() -> bool:
    """The same of bfloat16 where models are trained; a GPU has units for it or not."""
    import torch

    return torch.cuda.is_bf16_supported() if device() == "cuda" else half_pays(torch.bfloat16)


def share_cores() -> None:
    """Lets OpenMP's waiting threads sleep sooner, unless the user has set how long they spin; before torch is imported.

    They spin 300,000 turns by default, which takes the cores from whoever holds the others up: on two cores with other
    work a training step on two threads took 9 times as long as on one, and 1.5 times with 10,000 turns; alone on that
    machine it took as long as before (docs/LOG.md).
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def keep_freed_memory() -> None:
    """Lets glibc's malloc keep what is freed for the next tensors, unless the user has set how it is to work.

    Otherwise it gives memory back and takes it anew, zeroed page by page, many times in each pass: prompts of 256
    tokens for a model of Qwen 3 0.6B's shape took 1.15 to 1.5 times as long. What is larger than 32 MB is given back at
    once, as before; other C libraries are left as they are.
    """
    own = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if hasattr(library, "mallopt") and not own & os.environ.keys():
        library.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
        library.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times
