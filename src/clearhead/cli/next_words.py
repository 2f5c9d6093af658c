"""``clearhead next``: the likeliest next tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.edits import Edits, check_forms, parsed
from clearhead.cli.models import Bits, Dtype, From, Model, Threads, To, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text


def next_words(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text so far, or `-` for standard input.")],
    target: Annotated[
        str | None, typer.Option(help="For translators, which read the text: the translation so far; empty by default.")
    ] = None,
    from_: From = None,
    to: To = None,
    top: Annotated[int, typer.Option(help="Number of tokens to show.")] = 10,
    temperature: Annotated[float | None, typer.Option(help="Also show the probabilities at this temperature.")] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Also show the probabilities after keeping only the k likeliest tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Also show the probabilities after keeping the fewest tokens that add up to this."),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also show the likeliest tokens after every layer (logit lens).")
    ] = False,
    edit: Edits = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Save a `.png` picture or a `.json` file, instead of printing a table."
        ),
    ] = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Show which tokens are likeliest to come next, with their probabilities."""
    from clearhead import analysis
    from clearhead.drawing import NextTable, draw_next
    from clearhead.drawing.draw_next import check_next_path

    check_forms(edit)
    if out is not None:
        check_next_path(out)
    text = given_text(text)
    loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=from_, target=to)
    found = analysis.next_words(
        loaded,
        text,
        target=target,
        top=top,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        layers=layers,
        edits=parsed(loaded, edit),
    )
    if out is None:
        Screen().print(NextTable(found))
        return
    draw_next(found, out)
    message(f"{out}: the {len(found.candidates)} likeliest next tokens")
