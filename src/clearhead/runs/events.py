"""Callbacks of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from clearhead.training import Report


class Events:
    """Callbacks of a run, which do nothing by default. Override those you need."""

    def say(self, line: str) -> None:
        """Called with each line meant for a person: what was read, measured, chosen and saved."""

    def report(self, report: Report) -> None:
        """Called after each step and each evaluation."""

    @contextmanager
    def steps(self) -> Generator[Callable[[], bool]]:
        """Entered around the steps. The yielded function is called after each; True saves the state and stops."""
        with interruptible(signal.SIGINT) as stop:
            yield stop


@contextmanager
def interruptible(*signals: int, notice: bytes = b"") -> Generator[Callable[[], bool]]:
    """Yields a function that returns True once one of the signals has arrived. A second one raises KeyboardInterrupt.

    notice: written to standard error at the first signal. Only the main thread receives signals; in other threads the
    function always returns False.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, notice)  # not sys.stderr, which the signal may have interrupted in the middle of a write

    heard = signals if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
