"""The fastest implementation of a product of a few rows and a weight, measured on this machine and kept in the cache.

Processors differ: on one, two threads share a vector's product in float32, on another they do not, and bfloat16 has
been slower than float32. A choice is measured once, so that numbers do not change between runs on one machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from clearhead import machine
from clearhead.errors import FolderError, WriteError
from clearhead.files import cache_folder, make_folder, reading, write_text
from clearhead.native import FORMATS, library
from clearhead.products import native

PLAIN = "linear"
SMALLEST = 2**18  # numbers in a weight; smaller ones are not measured (multiply.py)
ROWS = (1, 2, 4, 8, 16)  # numbers of rows that are measured; others are rounded up
CLEAR = 0.95  # another implementation must take less than this share of the default's time
BYTES = 2**25  # of weights to go through, so that they come from memory, as in a pass over a model
ROUNDS = 5
KEY = r"\d{1,9} \d{1,9} (float32|bfloat16|float16) \d{1,2} \d{1,4}"  # N, K, dtype, rows, threads
SETTINGS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "CFLAGS")

Way = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Shape = tuple[int, int]


def _native(x_K: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
    return native.product(FORMATS[weight_NK.dtype], x_K, weight_NK, None, bias_N)


def _vector(x_K: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:
    y_N = torch.mv(weight_NK, x_K.reshape(-1))
    return (y_N if bias_N is None else y_N + bias_N).view(*x_K.shape[:-1], -1)


WAYS: dict[str, Way] = {PLAIN: F.linear, "vector": _vector, "native": _native}


def ways(shape: Shape, dtype: torch.dtype, rows: int) -> list[str]:
    """The ways that can multiply so many rows with a weight, PyTorch's own first."""
    found = [PLAIN]
    if rows == 1:
        found.append("vector")
    if dtype in FORMATS and library() is not None:
        found.append("native")
    return found


@cache
def chosen(shape: Shape, dtype: torch.dtype, rows: int, threads: int) -> Way:
    """The fastest way for a weight of a shape; ``rows`` is one of ROWS. Measured once and kept in the cache."""
    names = ways(shape, dtype, rows)
    name = " ".join(map(str, (*shape, str(dtype).removeprefix("torch."), rows, threads)))
    table = read()
    if name not in table or table[name].keys() != set(names):
        times = measured(shape, dtype, rows, names)
        table = read() | {name: times}  # read again: another process may have measured meanwhile
        write(table)
    return WAYS[fastest(table[name], rows)]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was measured for a product: seconds of each implementation, and the one chosen. rows: the most it covers."""

    shape: Shape
    dtype: str
    rows: int
    threads: int
    seconds: Mapping[str, float]
    taken: str


def choices() -> list[Choice]:
    """Everything measured on this machine so far, by shape, dtype, rows and threads."""
    found = list[Choice]()
    for name, times in read().items():
        N, K, dtype, rows, threads = name.split()
        found.append(
            Choice(
                shape=(int(N), int(K)),
                dtype=dtype,
                rows=int(rows),
                threads=int(threads),
                seconds=times,
                taken=fastest(times, int(rows)),
            )
        )
    return sorted(found, key=lambda each: (each.shape, each.dtype, each.threads, each.rows))


def fastest(times: Mapping[str, float], rows: int) -> str:
    """The name of the way to take, given the seconds of each: the usual one unless another is clearly faster.

    The usual way is PyTorch's own; for one row it is the kernel in C, which a recorded pass needs.
    """
    usual = "native" if rows == 1 and "native" in times else PLAIN
    best = min(times, key=lambda name: times[name])
    return best if times[best] < CLEAR * times[usual] else usual


def measured(shape: Shape, dtype: torch.dtype, rows: int, names: list[str]) -> dict[str, float]:
    """Seconds for a product in each way: the fastest of several rounds, the ways in turn, weights read from memory."""
    N, K = shape
    count = max(1, BYTES // (N * K * dtype.itemsize))
    with torch.inference_mode():
        weights = torch.ones(count, N, K, dtype=dtype).unbind()
        x_TK = torch.ones(rows, K, dtype=dtype)
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            for name in names:
                times[name].append(
                    machine.seconds(lambda way=WAYS[name]: [way(x_TK, w, None) for w in weights], 1) / count
                )
    return {name: round(min(each), 9) for name, each in times.items()}


@cache
def choices_file() -> Path | None:
    """The file of this machine's choices; None if there is no folder for it."""
    settings = [f"{name}={os.environ.get(name, '')}" for name in SETTINGS]
    told = (machine.processor(), torch.__version__, torch.backends.cpu.get_cpu_capability(), *settings)
    try:
        folder = cache_folder() / "products"
        make_folder(folder)
    except WriteError:
        return None
    return folder / f"{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}.json"


_held: dict[str, dict[str, float]] = {}  # what this process has measured


def read() -> dict[str, dict[str, float]]:
    """What was measured on this machine: for each product, the seconds of every way."""
    file = choices_file()
    found: Any = {}
    if file is not None and file.exists():
        try:
            with reading(file) as opened:
                found = json.loads(opened.read())
        except (OSError, ValueError, FolderError):
            found = {}
    return {**_held, **found} if _sound(found) else dict(_held)


def write(table: dict[str, dict[str, float]]) -> None:
    """Keeps what was measured; without a folder to write to, for this process only."""
    _held.update(table)
    file = choices_file()
    if file is not None:
        try:
            write_text(file, json.dumps(table, indent=1, sort_keys=True) + "\n")
        except WriteError:
            return


def _sound(found: Any) -> bool:
    """Whether this is a table that ``write`` could have written."""
    return isinstance(found, dict) and all(
        re.fullmatch(KEY, name)
        and isinstance(times, dict)
        and PLAIN in times
        and all(isinstance(each, float) and each > 0 for each in times.values())
        for name, times in found.items()
    )
