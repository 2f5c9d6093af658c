"""The calls of a pass over one new token in each of a few rows, recorded so that one call can replay them.

A step of a small model takes longer in Python than in its products. Like a CUDA graph, a tape keeps which kernels a
pass called, with which memory, and makes the same calls for the next token; only the token and its place are new.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from clearhead.native.compiling import library

# ``struct call`` of token.c, which says what each kind of call is given: what, dtype, p, n, f
CALL = struct.Struct("=2i6Q8q2f")
POINTERS, NUMBERS, FACTORS = (0,) * 6, (0,) * 8, (0.0,) * 2
BEFORE = 8  # bytes before the pointers

# What PyTorch may do during a recording, besides views: give memory, which the kernels fill.
MEMORY = {torch.ops.aten.empty.memory_format, torch.ops.aten.new_empty.default, torch.ops.aten.empty_like.default}


class Tape:
    """The calls of one pass. refused: why the pass cannot be replayed; None = it can.

    The numbers of a call must not depend on the tokens, their place or the source. All calls have as many rows.
    """

    def __init__(self, rows: int = 1) -> None:
        self.rows = rows
        self.refused: str | None = None
        self._calls = bytearray()
        self._kept = list[Sequence[Tensor | None]]()  # what the calls point into

    def add(self, call: bytes, tensors: Sequence[Tensor | None]) -> None:
        """Appends a call and what its pointers point into."""
        self._calls += call
        self._kept.append(tensors)

    def run(self, place: int, threads: int, source: int = 0) -> bool:
        """Makes the calls for tokens at this place, which attend to so many keys of a source.

        False if one failed: no memory, or an id out of range.
        """
        return _run(bytes(self._calls), len(self._kept), self.rows, place, source, threads)

    @property
    def result(self) -> int | None:
        """The address of the last call's result; None if it has none."""
        place = self._place()
        return None if place is None else struct.unpack_from("=Q", self._calls, place)[0]

    def result_at(self, address: int) -> None:
        """Sets where the last call puts its result."""
        place = self._place()
        assert place is not None
        struct.pack_into("=Q", self._calls, place, address)

    def _place(self) -> int | None:
        """The offset of that address in the calls; None if the last call has no result."""
        start = len(self._calls) - CALL.size
        what = CALL.unpack_from(self._calls, start)[0] if start >= 0 else None
        return start + BEFORE + 8 * RESULTS[what] if what in RESULTS else None


# token.c's kinds of calls, and which pointer of each is its result
EMBED, SCALE, PLACED, ADD, NORM, PRODUCT, ROTATE, EXTEND, ATTEND, ACTIVATE, CAP = range(11)
RESULTS = {EMBED: 3, SCALE: 1, PLACED: 2, ADD: 2, NORM: 3, PRODUCT: 4, ROTATE: 3, ATTEND: 4, ACTIVATE: 1, CAP: 1}

_TAPE: ContextVar[Tape | None] = ContextVar("clearhead.tape", default=None)


class _Guard(TorchDispatchMode):
    """Refuses a recording in which PyTorch computes."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else torch wraps ``__torch_dispatch__`` and loads its compiler at the first call: 1.5 s."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        same = given is args[0] and not func._schema.is_mutable if args else False  # dropout, when it drops nothing
        if not (same or func.is_view or func in MEMORY):
            self._tape.refused = self._tape.refused or str(func)
        return given


@contextmanager
def recording(rows: int = 1) -> Generator[Tape]:
    """Records the calls made in the block, each of which must have so many rows."""
    tape = Tape(rows)
    token = _TAPE.set(tape)
    try:
        with _Guard(tape):
            yield tape
    finally:
        _TAPE.reset(token)


def make(
    what: int,
    dtype: int,
    tensors: Sequence[Tensor | None],
    numbers: Sequence[int] = (),
    factors: Sequence[float] = (),
    *,
    rows: int = 1,
    place: int = 0,
    source: int = 0,
) -> bool:
    """Makes a call, and records it if a tape is running. False if it failed. ``source``: as for ``Tape.run``."""
    pointers = [0 if each is None else each.data_ptr() for each in tensors]
    call = CALL.pack(
        what,
        dtype,
        *pointers,
        *POINTERS[len(pointers) :],
        *numbers,
        *NUMBERS[len(numbers) :],
        *factors,
        *FACTORS[len(factors) :],
    )
    tape = _TAPE.get()
    if tape is not None:
        if rows != tape.rows:
            tape.refused = tape.refused or f"a call of {rows} rows"
        tape.add(call, tensors)
    return _run(call, 1, rows, place, source, torch.get_num_threads())


def _run(calls: bytes, count: int, rows: int, place: int, source: int, threads: int) -> bool:
    found = library()
    assert found is not None
    return found.run(calls, count, rows, place, source, threads) == count
