"""The notation of a world's data files: sections of text with line numbers, so that errors can point at a line.

    # a comment

    weather                           a rule: its name, then its alternatives, one per "- "
    - It rained all day.
    - The sun shone                   a line that starts with spaces continues the one before
      until the evening.

    story walk 3 A=child T=toy        a plot: its name, weight and cast, then ways to tell it
    - {A} lost {A.his} {T}.

    table fruit: thing | plural       a table: its name and columns, then its rows
    - apple                           missing cells at the end are empty
    - cherry | cherries

An empty line ends a section. grammar.py parses the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from clearhead.errors import GrammarError, nearest

Entries = list[tuple[int, str]]  # line number and text of each


@dataclass(frozen=True, slots=True)
class Section:
    """A head line and its entries, from ``file``, such as "english/court.txt"."""

    file: str
    line: int
    head: str
    entries: Entries

    def error(self, message: str, line: int | None = None) -> GrammarError:
        """An error in this section, at ``line`` or at its head line."""
        return GrammarError(f"{self.file}, line {line or self.line}: {message}")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text, each with a cell for every column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def first(self) -> tuple[str, ...]:
        """The first column."""
        return tuple(row[0] for row in self.rows)

    def pairs(self, one: int = 0, other: int = 1) -> tuple[tuple[str, str], ...]:
        """Two columns as pairs, without rows in which either is empty."""
        return tuple((row[one], row[other]) for row in self.rows if row[one] and row[other])


class Tables(dict[str, Table]):
    """The tables of a language by name. Raises GrammarError for an unknown name."""

    def __missing__(self, name: str) -> Table:
        raise GrammarError(f"no data file has a table {name!r}{nearest(name, self)}")


@dataclass(frozen=True, slots=True)
class Data:
    """The content of a language's files: rules and plots, in the order of file names, and tables."""

    sections: tuple[Section, ...]
    tables: Tables


def read(package: str, *, space: str) -> Data:
    """Every .txt file beside the modules of ``package``; ``space`` joins continued lines: " ", or "" for Chinese.

    Raises GrammarError, with file and line, for a misplaced line, a duplicate table or a row with too many cells.
    """
    files = {file.name: file for file in resources.files(package).iterdir() if file.name.endswith(".txt")}
    folder = package.rpartition(".")[2]
    texts = {f"{folder}/{name}": files[name].read_text(encoding="utf-8") for name in sorted(files)}
    return data(texts, space=space)


def data(texts: Mapping[str, str], *, space: str) -> Data:
    """``read`` from texts given by file name."""
    everything = [section for file, text in texts.items() for section in sections(text, file, space=space)]
    return Data(
        sections=tuple(section for section in everything if not section.head.startswith("table ")),
        tables=_tables(section for section in everything if section.head.startswith("table ")),
    )


def sections(text: str, file: str, *, space: str) -> Iterator[Section]:
    """The sections of one file in order."""
    section: Section | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("- ") and section:
            section.entries.append((number, line[2:].strip()))
        elif not line or line.isspace():
            if section:
                yield _whole(section)
            section = None
        elif line[0] == "#":
            continue
        elif line[0].isspace() and section and section.entries:
            start, before = section.entries[-1]
            section.entries[-1] = (start, before + space + line.strip())
        elif line[0] == "-" or line[0].isspace() or section:
            expected = "an alternative, '- ' and text," if section else "a rule, a story or a table"
            raise GrammarError(f"{file}, line {number}: expected {expected} but found {line!r}")
        else:
            section = Section(file, number, line.strip(), [])
    if section:
        yield _whole(section)


def _whole(section: Section) -> Section:
    if not section.entries:
        raise section.error(f"{section.head!r} has no lines that begin with '- '")
    return section


def _tables(sections: Iterable[Section]) -> Tables:
    tables = Tables()
    for section in sections:
        name, colon, columns = section.head.removeprefix("table ").partition(":")
        if not colon or not name.strip().isidentifier():
            raise section.error(f"{section.head!r} is not of the form 'table name: column | column'")
        if name in tables:
            raise section.error(f"table {name!r} is defined twice")
        table = Table(_cells(columns), tuple(_row(section, line, text) for line, text in section.entries))
        tables[name] = table
    return tables


def _cells(text: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in text.split("|"))


def _row(section: Section, line: int, text: str) -> tuple[str, ...]:
    """The cells of a row, padded with empty ones to the number of columns."""
    cells, width = _cells(text), section.head.count("|") + 1
    if len(cells) > width:
        raise section.error(f"{text!r} has {len(cells)} cells; {section.head!r} has {width} columns", line)
    return cells + ("",) * (width - len(cells))
