"""The kernels in C, compiled with this machine's C compiler when they are first needed."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from clearhead.errors import WriteError
from clearhead.files import cache_folder, make_folder, replacing
from clearhead.machine import CPUINFO

FOLDER = Path(__file__).parent
SOURCES = [FOLDER / name for name in ("vectors.h", "products.c", "token.c")]
COMPILERS = ("cc", "gcc", "clang")
COMMON = ("-march=native", "-fopenmp", "-fPIC")
# token.c is bound by memory, and -O3 would compile it in 2.5 s instead of 1.1 s; products.c takes 1.6 s
OPTIONS = {"products": ("-O3", *COMMON), "token": ("-O2", "-ftree-vectorize", *COMMON)}
SECONDS_AT_MOST = 120  # for compiling, which takes about one

FORMATS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
NUMBERS = {dtype: number for number, dtype in enumerate(FORMATS)}  # of dtypes, in vectors.h


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None without a compiler, or without the instructions or the OpenMP that they need."""
    found = compiler()
    if found is None or os.name != "posix":
        return None
    name = f"{key(found)}.so"
    try:
        folder = cache_folder() / "products"
        make_folder(folder)
    except WriteError:
        return _built(found, None, name)
    return _built(found, folder, name)


def compiles() -> bool:
    """Whether the kernels can be used here."""
    return library() is not None


def key(compiler: str) -> str:
    """Names what a compiled file depends on: the source, the compiler, the processor and its instructions."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES))
    digest.update(f"{compiler} {Path(compiler).stat().st_mtime_ns} {platform.machine()} {OPTIONS} {_flags()}".encode())
    if CPUINFO.is_file():
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
        digest.update("\n".join(line for line in lines if line.startswith(("model name", "flags"))).encode())
    return digest.hexdigest()[:16]


def compiler() -> str | None:
    """The path of the C compiler: $CC, cc, gcc or clang; None if there is none."""
    named = shlex.split(os.environ.get("CC", ""))[:1]
    return next(filter(None, map(shutil.which, (*named, *COMPILERS))), None)


def _built(compiler: str, folder: Path | None, name: str) -> ctypes.CDLL | None:
    """Loads the library from the folder, compiling it first if it is missing or damaged; None as ``library``.

    Never loads a file that another user could have written. Without a private folder, compiles each time.
    """
    kept = None if folder is None or not _ours(folder) else folder / name
    if kept is not None and _ours(kept):
        found = _loaded(kept)
        if found is not None:
            return found
    with tempfile.TemporaryDirectory() as place:
        made = Path(place, name)
        if not _compile(compiler, made):
            return None
        if kept is not None:
            with suppress(WriteError), replacing(kept) as file:
                file.write(made.read_bytes())
        return _loaded(made)


def _ours(path: Path) -> bool:
    """Whether a file or folder exists that only this user can write."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _flags() -> list[str]:
    """The user's $CFLAGS, which come last and so win."""
    return shlex.split(os.environ.get("CFLAGS", ""))


def _compile(compiler: str, made: Path) -> bool:
    parts = {name: str(made.with_name(f"{name}.o")) for name in OPTIONS}
    commands = [
        [compiler, *OPTIONS[name], *_flags(), "-c", str(FOLDER / f"{name}.c"), "-o", part]
        for name, part in parts.items()
    ]
    # Linked without -fopenmp: it could load a second OpenMP, whose waiting threads take cores from the first.
    link = [compiler, "-shared", *parts.values(), "-o", str(made), "-lm"]
    with ThreadPoolExecutor() as pool:
        return all([*pool.map(_done, commands)]) and _done(link)


def _done(command: list[str]) -> bool:
    """Runs a command; returns whether it succeeded."""
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=SECONDS_AT_MOST, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _loaded(path: Path) -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(str(path))
    except OSError:  # damaged, or no OpenMP in this PyTorch
        return None
    pointer: Any = ctypes.c_void_p
    for format in (*FORMATS.values(), "int8", "int4"):
        kernel = getattr(found, format)
        kernel.argtypes = [pointer] * 5 + [ctypes.c_long] * 3 + [ctypes.c_int] * 2
        kernel.restype = ctypes.c_int
    found.run.argtypes = [pointer, *[ctypes.c_long] * 4, ctypes.c_int]
    found.run.restype = ctypes.c_long
    return found
