"""``clearhead corpora``: the texts that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer


def corpora(
    name: Annotated[str | None, typer.Argument(help="Print this corpus's text; without it, list all.")] = None,
    megabytes: Annotated[float | None, typer.Option(help="How much of it.")] = None,
) -> None:
    """List the built-in corpora, or print the text of one."""
    from rich.console import Console
    from rich.table import Table

    from clearhead import corpora as built_in

    if name is not None:
        for document in built_in.get(name).source(megabytes=megabytes).documents():
            typer.echo(document + "\n")
        return
    table = Table("name", "language", "MB", "what", box=None, pad_edge=False)
    for corpus in built_in.names():
        table.add_row(corpus.name, corpus.language, f"{corpus.default_megabytes:g}", corpus.description)
    Console(highlight=False).print(table)
