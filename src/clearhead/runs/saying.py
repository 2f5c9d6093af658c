"""Lines that a run says about itself."""

from __future__ import annotations

import time
from collections.abc import Callable

PROGRESS_EVERY = 5.0  # seconds between progress lines while text is read

Say = Callable[[str], None]


def progress_of(say: Say, what: str, unit: int = 1_000_000, name: str = "MB") -> Callable[[int, int | None], None]:
    """Reports every few seconds how much is done. A large text takes a while the first time."""
    last = time.perf_counter()

    def tell(done: int, total: int | None) -> None:
        nonlocal last
        if time.perf_counter() - last >= PROGRESS_EVERY:
            last = time.perf_counter()
            of = "" if total is None else f" of {total / unit:,.0f}"
            say(f"{what}: {done / unit:,.0f}{of} {name}")

    return tell
