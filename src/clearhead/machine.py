"""This machine's cores, threads and memory, and the speed of its arithmetic."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import platform
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clearhead.errors import MemoryNeededError, OptionError

if TYPE_CHECKING:
    import torch

MEMINFO = Path("/proc/meminfo")
CPUINFO = Path("/proc/cpuinfo")
OWN_GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h

LARGE_PAGE = 2**21  # bytes

UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}  # as torch writes sizes

PAYS = 0.75  # half precision is worth it below this fraction of float32's time

THREADS_AT_MOST = 1024  # more is a typo, and OpenMP would start them all


def cores() -> int:
    """The number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def thread_limit() -> int:
    """The most threads worth trying: one per core, or OMP_NUM_THREADS if that is lower."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list has one entry per nesting level
    return max(1, min(cores(), int(asked))) if asked.isdecimal() else cores()


def processor() -> str:
    """The processor's name, as Linux or Python reports it."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that can be allocated on the device. On the CPU, without swapping and within all control groups.

    Without Linux's /proc, which says how much is free, returns the total memory.
    """
    if _is_cuda(device):
        import torch

        # torch keeps freed memory for later tensors; the driver counts it as taken.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if MEMINFO.is_file():
        known = _named_numbers(MEMINFO)
        limits = [known.get("MemAvailable:", known["MemFree:"]) * 1024]  # some containers only give MemFree
    else:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    return max(0, int(min(limits + [_free_in(group) for group in _groups()])))


def check_free(need: int, device: torch.device | str, what: str, way: str) -> None:
    """Raises MemoryNeededError if fewer than ``need`` bytes are free; it says ``what`` first and ``way`` last."""
    free = free_memory(device)
    if need > free:
        where = f" on {device}" if _is_cuda(device) else ""
        raise MemoryNeededError(f"{what}; {free / 1e9:.1f} GB are free{where}{way and f'; {way}'}")


def shortage(error: RuntimeError) -> str | None:
    """The size torch failed to allocate, such as "268.4 MB"; None if the error is not about memory.

    On CUDA the error has its own class; on the CPU only its message tells (c10/core/impl/alloc_cpu.cpp).
    """
    import torch

    if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator: " not in str(error):
        return None
    size = re.search(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", str(error))
    return "what was asked for" if size is None else f"{float(size[1]) * UNITS[size[2]] / 1e6:,.1f} MB"


def _is_cuda(device: torch.device | str) -> bool:
    return str(device).startswith("cuda")


def _groups() -> list[Path]:
    """Folders of the control groups (version 2) of this process, innermost first."""
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
    # The page cache counts as used, but is freed on demand.
    stat = _named_numbers(group / "memory.stat")
    cached = stat.get("inactive_file", 0) + stat.get("active_file", 0)
    return int(limit) - int((group / "memory.current").read_text()) + cached


def _named_numbers(file: Path) -> dict[str, int]:
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {words[0]: int(words[1]) for words in lines}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The fastest of several runs of ``work``, in seconds: its cost on an idle machine."""
    return min(_times(work, repeats))


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The median time of several runs of ``work``, in seconds: its cost under the current load."""
    times = sorted(_times(work, repeats))
    return times[len(times) // 2]


def seconds_of_product(dtype: torch.dtype) -> float:
    """Time of one 256 x 256 matrix product in ``dtype`` on the CPU, in seconds.

    No larger, because half precision takes 0.1 ms with hardware support but 0.1 s without.
    """
    import torch

    a = torch.ones(256, 256, dtype=dtype)
    return seconds(lambda: a @ a, 5)


def device() -> str:
    """The device for training and inference: "cuda" if torch can use it, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def share_of_float32(dtype: torch.dtype) -> float:
    """Time of a matrix product in ``dtype`` divided by float32's, on this CPU. Measured once per process."""
    import torch

    return seconds_of_product(dtype) / seconds_of_product(torch.float32)


def half_pays(dtype: torch.dtype) -> bool:
    """True if products in this dtype take less than 3/4 of float32's time on this CPU (docs/design.md, 9).

    Measured so far: 0.45 to 0.5 with hardware support for bfloat16, 1,000 without. The threshold is far from both, so
    a machine always gives the same answer.
    """
    return share_of_float32(dtype) < PAYS


def bfloat16_pays() -> bool:
    """``half_pays`` for bfloat16 on the training device; on a GPU, whether it supports bfloat16."""
    import torch

    return torch.cuda.is_bf16_supported() if device() == "cuda" else half_pays(torch.bfloat16)


def use_threads(asked: int | None) -> int:
    """Sets the number of OpenMP threads to ``asked``, or to the fastest of ``seconds_by_threads``, and returns it.

    Raises OptionError unless it is between 1 and THREADS_AT_MOST.
    """
    import torch

    if asked is not None and not 1 <= asked <= THREADS_AT_MOST:
        raise OptionError(f"--threads {asked}: must be between 1 and {THREADS_AT_MOST}")
    if asked is None:
        times = seconds_by_threads()
        asked = min(times, key=lambda count: times[count])
    torch.set_num_threads(asked)
    return asked


def seconds_by_threads() -> dict[int, float]:
    """Seconds for matrix-vector products of the size decoding needs, with one thread and with ``thread_limit``.

    On a busy machine two threads can be far slower than one, hence the measurement. It takes about 20 ms.
    """
    import torch

    weight, x = torch.ones(2048, 512), torch.ones(512)
    before = torch.get_num_threads()
    times: dict[int, float] = {}
    for count in sorted({1, thread_limit()}):
        torch.set_num_threads(count)
        times[count] = median_seconds(lambda: [weight @ x for _ in range(8)], 9)
    torch.set_num_threads(before)
    return times


def share_cores() -> None:
    """Makes OpenMP's waiting threads sleep sooner, unless the user set how long they spin. Call before importing torch.

    By default they spin 300,000 times and keep cores from the threads they wait for. On two busy cores, a training step
    with two threads took 9 times as long as with one; with 10,000 spins, 1.5 times. On an idle machine it made no
    difference (docs/LOG.md).
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def keep_freed_memory() -> None:
    """Makes glibc's malloc keep freed memory for later tensors, unless the user has tuned it. No-op on other libraries.

    By default it returns memory and gets it back zeroed page by page, many times in each pass: prompts of 256 tokens
    took 1.15 to 1.5 times as long in the shape of Qwen 3 0.6B. Blocks over 32 MB are still returned at once.
    """
    own = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if hasattr(library, "mallopt") and not own & os.environ.keys():
        library.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest value glibc accepts
        library.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def on_large_pages(tensor: torch.Tensor) -> torch.Tensor:
    """Asks Linux to put a tensor that is not filled yet on pages of 2 MB, and returns it. No-op elsewhere.

    A processor looks up each page that it reads in the page tables, in a virtual machine twice: on two cores of an AMD
    EPYC, weights were read at 24 to 26 GB/s from pages of 4 KB, and at 29 to 30 GB/s from pages of 2 MB.
    """
    if tensor.is_cpu and tensor.nbytes >= LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        start = tensor.data_ptr() // LARGE_PAGE * LARGE_PAGE
        end = -(-(tensor.data_ptr() + tensor.nbytes) // LARGE_PAGE) * LARGE_PAGE
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_HUGEPAGE)
    return tensor


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times
