"""Progress of a comparison: a line before each run, and the run's bar."""

from __future__ import annotations

from clearhead.cli.progress import Display
from clearhead.lab import ComparisonEvents, Trial
from clearhead.training import Report, Stepped


class ComparisonDisplay(Display, ComparisonEvents):
    """Shows a comparison on standard error; evaluations of the runs are not shown."""

    def trial(self, trial: Trial, number: int, count: int, left: float) -> None:
        """Prints what comes; the bar starts anew."""
        self.restart()
        super().trial(trial, number, count, left)

    def report(self, report: Report) -> None:
        """Updates the bar."""
        if isinstance(report, Stepped):
            super().report(report)
