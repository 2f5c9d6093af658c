"""What ``clearhead lab`` shows: the list of claims, the progress of the runs, and each report."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.cli.printing import Screen, message
from clearhead.cli.progress import Display
from clearhead.drawing.report import ReportText
from clearhead.lab.note import EXPERIMENTS, Finding, LabEvents, Phrases
from clearhead.language import current
from clearhead.training import Report, Stepped
from clearhead.wrapping import wrapped


class LabDisplay(Display, LabEvents):
    """Shows a session on standard error, and each report on standard output; evaluations are not shown."""

    def __init__(self, *, tables: bool) -> None:
        super().__init__()
        self._tables = tables

    def report(self, report: Report) -> None:
        """Updates the bar."""
        if isinstance(report, Stepped):
            super().report(report)

    def begins(self, name: str, number: int, count: int) -> None:
        """Prints what comes; the bar starts anew."""
        self.restart()
        super().begins(name, number, count)

    def ended(self, finding: Finding, folder: Path) -> None:
        """Prints the report and where its files are."""
        screen = Screen()
        screen.print(ReportText(finding.report(current()), tables=self._tables))
        message(f"{folder / finding.experiment}.html, .png and .json: the report, its picture and its numbers")


class Listed:
    """A rich renderable: the experiments with their claims."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = max(map(len, EXPERIMENTS)) + 2
        for name in EXPERIMENTS:
            claim = wrapped(Text(Phrases(name, current())("claim")), options.max_width - wide)
            for number, line in enumerate(claim):
                yield Text.assemble((f"{'' if number else name:<{wide}}", "bold"), line)
