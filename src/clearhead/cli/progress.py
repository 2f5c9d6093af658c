"""Progress of a training run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from clearhead.cli.printing import Screen, visible
from clearhead.language import mark, spoken
from clearhead.runs import Events, interruptible
from clearhead.training import Evaluated, Report, Stepped

# Seconds between plain lines, unless an evaluation prints one.
INTERVAL = 30.0


NOTICE = "stopping after this step; Ctrl-C again stops at once"


class Display(Events):
    """Shows a run on standard error; the first Ctrl-C (or SIGTERM) stops it after the current step."""

    def __init__(self, console: Console | None = None) -> None:
        if console is None:
            console = Screen(stderr=True, soft_wrap=True)
        self._console = console
        self._live = console.is_terminal
        self._bar = Progress(
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            disable=not self._live,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("training", total=1.0, figures="")
        self._printed = time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Forgets the run so far; another begins."""
        self._loss: float | None = None
        self._valid: float | None = None
        self._first: Stepped | None = None

    @contextmanager
    def steps(self) -> Generator[Callable[[], bool]]:
        """Draws the bar and handles signals."""
        notice = f"\n{spoken(NOTICE)}\n".encode()
        with self._bar, interruptible(signal.SIGINT, signal.SIGTERM, notice=notice) as stop:
            yield stop

    def say(self, line: str) -> None:
        """Prints a line."""
        self._console.print(visible(spoken(line)))

    def report(self, report: Report) -> None:
        """Updates the bar after a step; prints an evaluation."""
        if isinstance(report, Stepped):
            self._stepped(report)
        else:
            self._evaluated(report)

    def _stepped(self, report: Stepped) -> None:
        # An exponential mean over about twenty steps: one step's loss jumps with its batch.
        self._loss = report.loss if self._loss is None else 0.95 * self._loss + 0.05 * report.loss
        self._first = self._first or report
        line = self._figures(report)
        self._bar.update(self._task, completed=report.used, figures=line)
        if not self._live and time.monotonic() - self._printed >= INTERVAL:
            self._line(f"{report.used:4.0%}  {line}")

    def _evaluated(self, report: Evaluated) -> None:
        self._valid = report.valid_loss
        kept = "" if report.best else "  (not the lowest)"
        self._line(
            f"step {report.step:,}: validation loss {report.valid_loss:.4f} nats a {report.unit}, "
            f"{report.bits_per_byte:.4f} bits a byte{_scores(report)}{kept}"
        )
        sample = visible(report.sample) or spoken("(ended at once)")
        self._console.print(Text("   | " + sample.replace("\n", "\n   | "), style="dim"))

    def _figures(self, report: Stepped) -> str:
        first = self._first or report
        seconds, steps = report.seconds - first.seconds, report.step - first.step
        each = report.tokens / report.step
        known = report.used > first.used
        left = seconds / (report.used - first.used) * (1 - report.used) if known else 0.0
        clock = f"{int(left // 60)}:{int(left % 60):02d}" if known else "-:--"
        parts = [f"{clock} left", f"step {report.step:,}", f"loss {self._loss:.3f}"]
        if self._valid is not None:
            parts.append(f"valid {self._valid:.3f}")
        parts.append(f"lr {report.rate:.2g}")
        if seconds > 0:
            parts.append(f"{each * steps / seconds:,.0f} tokens/s")
        return "  ".join(map(spoken, parts))

    def _line(self, text: str) -> None:
        self._printed = time.monotonic()
        self._console.print(spoken(text))


def _scores(report: Evaluated) -> str:
    """BLEU and chrF, if there are any."""
    if report.bleu is None or report.chrf is None:
        return ""
    return f"{mark('; ')}BLEU {report.bleu:.1f}{mark(', ')}chrF {report.chrf:.1f}"
