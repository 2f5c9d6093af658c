"""Names and what is known of them, below one another: one line each, whatever the terminal's width."""

from __future__ import annotations

from collections.abc import Mapping

import typer


def print_rows(rows: Mapping[str, str]) -> None:
    """On standard output."""
    widest = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{widest}}  {value}")
