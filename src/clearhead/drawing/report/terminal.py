"""A report as lines for the terminal: the verdict and every table."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible
from clearhead.drawing.report.blocks import Report, Table
from clearhead.drawing.report.page import WORDS
from clearhead.language import current


class ReportText:
    """A rich renderable: the title, the claim, the tables if asked for, and the verdict. Charts are in the page."""

    def __init__(self, report: Report, *, tables: bool = True) -> None:
        self._report, self._says, self._tables = report, phrases(WORDS, current()), tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report, says = self._report, self._says
        yield Text(legible(report.title), style="bold")
        yield Text(f"{says['claim']}{says['gap']}{legible(report.claim)}")
        for block in report.blocks:
            if self._tables and isinstance(block, Table):
                yield Text()
                yield _table(block)
        if self._tables:
            yield Text()
        yield Text(f"{says[report.holds]}{says['gap']}{legible(report.verdict)}", style="bold")


def _table(table: Table) -> RichTable:
    drawn = RichTable(title=legible(table.title), title_justify="left", title_style="", box=None, pad_edge=False)
    for number, column in enumerate(table.header):
        drawn.add_column(legible(column), justify="left" if number == 0 else "right")
    for row in table.rows:
        drawn.add_row(*map(legible, row))
    if table.note:
        drawn.caption, drawn.caption_style, drawn.caption_justify = legible(table.note), "", "left"
    return drawn
