"""A table of names and values, one line each, at any terminal width."""

from __future__ import annotations

from collections.abc import Mapping

import typer


def print_rows(rows: Mapping[str, str]) -> None:
    """Prints the rows to standard output."""
    widest = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{widest}}  {value}")
