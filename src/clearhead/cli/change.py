"""``clearhead change``: what changed between two models, head by head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads, load_model
from clearhead.cli.printing import echo, legend, message, write_json
from clearhead.cli.utf8 import given_text


def change(
    before: Model,
    after: Model,
    text: Annotated[list[str], typer.Argument(help="One or several texts, or `-` for standard input.")],
    pair: Annotated[
        str | None, typer.Option(help="A second text, which an encoder reads together with the first.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="For translators: the translation that both models are given.")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="Sort the heads by this column of the table, the largest first.")
    ] = "attention",
    top: Annotated[int | None, typer.Option(help="Show only this many heads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a picture with a grid of layers and heads for each column: a `.png`, `.svg`, `.html` "
            "(a table to sort) or `.json` file.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Compare two models of one shape head by head, such as a run and the model it started from.

    One line per head, the most changed first: how much of its attention moved
    to other keys, and how far what it adds to the residual stream moved.
    """
    from clearhead import analysis
    from clearhead.drawing import check_atlas, draw_atlas
    from clearhead.errors import OptionError
    from clearhead.watching.atlas import check_order

    check_order(sort, top, analysis.CHANGES, analysis.Change.called)
    if out is not None:
        check_atlas(out)
        if as_json:
            raise OptionError("--json prints and --out saves; give one of them")
    texts = [given_text(each) for each in text]
    one, other = (load_model(each, dtype, threads) for each in (before, after))
    given = texts[0] if len(texts) == 1 else texts
    found = analysis.change(one, other, given, pair=pair, target=target).by(sort).first(top)
    if as_json:
        write_json(found.to_dict())
    elif out is not None:
        draw_atlas(found, out)
        message(f"{out}: what changed in {len(found.rows)} heads, most in {found.rows[0].name}")
    else:
        echo(str(found))
        echo()
        legend({column: analysis.CHANGES[column] for column in found.columns})
