"""``clearhead steps``: one attention head, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text


def steps(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text, or `-` for standard input.")],
    layer: Annotated[int, typer.Option(help="The layer, counted from 0.")] = 0,
    head: Annotated[int, typer.Option(help="The head, counted from 0.")] = 0,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            help="The query token: its place (from 0; -1 is the last) or a word of the text. The last word by default.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save every number to a `.html` page or a `.json` file, instead of printing a table.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Go through one attention head step by step, with every number.

    The rows that enter, queries, keys and values, scores, mask, softmax, times
    V, joined heads and W_O, as the model's own pass computed them. The page has
    a switch that takes the mask off, and the same steps in plain Python.
    """
    from clearhead import analysis
    from clearhead.drawing import draw_steps, table_of_steps
    from clearhead.drawing.draw_steps import check_steps_path

    if out is not None:
        check_steps_path(out)
    text = given_text(text)
    loaded = load_model(model, dtype, threads)
    found = analysis.steps(loaded, text, layer=layer, head=head)
    if out is None:
        Screen().print(table_of_steps(found, query))
        return
    draw_steps(found, out, query=query)
    message(f"{out}: layer {layer}, head {head}, {len(found.record.tokens)} tokens")
