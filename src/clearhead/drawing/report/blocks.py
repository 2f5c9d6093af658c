"""What a report is made of, in one language: text, tables and charts, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a header; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points (x, y) joined by a line; ``level`` draws it dashed, for a reference."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    level: bool = False


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A chart of curves. ``log``: the x axis is logarithmic, with ticks at the points.

    ticks: names of the places 0, 1, ... of x, if it counts something; from_zero: whether the y axis begins at 0
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    log: bool = False
    ticks: tuple[str, ...] = ()
    from_zero: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A bar for each label, all from 0; values are 0 or more, written with ``digits`` decimals."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    digits: int = 3
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """A matrix with its numbers; None marks a cell that does not exist, such as a key the mask hides.

    down, across: what rows and columns are; numbers: whether each cell shows its value
    """

    title: str
    down: str
    across: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    digits: int = 2
    numbers: bool = True
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Code:
    """Source text or commands, shown as they are."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """A file beside the report."""

    text: str
    file: str


ReportBlock = Paragraph | Table | Curves | Bars | Heatmap | Code | Link
Holds = Literal["yes", "partly", "open", "no"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A claim, the verdict, and what it rests on.

    holds: whether the claim is borne out; "open" if this session neither bears it out nor refutes it
    verdict: a sentence with the numbers that decide
    repeat: commands that repeat the experiment
    """

    title: str
    claim: str
    holds: Holds
    verdict: str
    blocks: tuple[ReportBlock, ...]
    repeat: tuple[str, ...]
