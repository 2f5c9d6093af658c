"""Reports: what an experiment found, as a page, a picture and lines for the terminal."""

from clearhead.drawing.report.blocks import (
    Bars,
    Code,
    Curve,
    Curves,
    Heatmap,
    Link,
    Paragraph,
    Report,
    ReportBlock,
    Table,
)
from clearhead.drawing.report.figure import draw_report
from clearhead.drawing.report.page import index, page
from clearhead.drawing.report.terminal import ReportText

__all__ = [
    "Bars",
    "Code",
    "Curve",
    "Curves",
    "Heatmap",
    "Link",
    "Paragraph",
    "Report",
    "ReportBlock",
    "ReportText",
    "Table",
    "draw_report",
    "index",
    "page",
]
