"""What ``clearhead lab`` shows: the list of claims, the progress of the runs, and each report."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from clearhead.cli.printing import Screen, message
from clearhead.cli.progress import Display
from clearhead.drawing.report import ReportText
from clearhead.lab.note import EXPERIMENTS, Finding, LabEvents, Phrases
from clearhead.language import current
from clearhead.training import Report, Stepped


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


def listed() -> Table:
    """The experiments with their claims."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name in EXPERIMENTS:
        table.add_row(name, Text(Phrases(name, current())("claim")))
    return table
