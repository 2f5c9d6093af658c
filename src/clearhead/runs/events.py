"""What a run tells while it goes, and what it asks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from clearhead.training import Report


class Events:
    """Hears a run. This one is quiet; whoever shows a run overrides what it shows."""

    def say(self, line: str) -> None:
        """A line for a reader: what was read, measured, chosen and kept."""

    def report(self, report: Report) -> None:
        """A step was made, or the validation text was read and a sample written."""

    @contextmanager
    def steps(self) -> Generator[Callable[[], bool]]:
        """Entered around the steps; the function given is called after each: True saves the state and stops."""
        with interruptible(signal.SIGINT) as stop:
            yield stop


@contextmanager
def interruptible(*signals: int, notice: bytes = b"") -> Generator[Callable[[], bool]]:
    """Inside the block the first of the signals raises a flag, which the function given tells; the second interrupts.

    notice: written to standard error at the first. Outside of the main thread, which alone hears signals, the flag
    stays down.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, notice)  # not through sys.stderr: the signal may have come while that was being written to

    heard = signals if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
