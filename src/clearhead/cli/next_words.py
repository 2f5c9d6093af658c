"""``clearhead next``: the likeliest next tokens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads
from clearhead.cli.utf8 import decoded


def next_words(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text so far, or - for standard input.")],
    top: Annotated[int, typer.Option(help="How many tokens to show.")] = 10,
    temperature: Annotated[
        float | None, typer.Option(help="Also show what this temperature makes of the probabilities.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Also show what is left of the k likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Also show what is left of the fewest tokens that add up to this.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also read the likeliest tokens after every layer (logit lens).")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Save x.png, a picture, or x.json, the numbers, instead."),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Show which tokens are likeliest to come next, with their probabilities."""
    from rich.console import Console

    from clearhead import analysis, hub, machine
    from clearhead.cli.threads import use_threads
    from clearhead.drawing import NextTable, draw_next
    from clearhead.drawing.draw_next import check_next_path

    if out is not None:
        check_next_path(out)
    if text == "-":
        text = decoded(sys.stdin.buffer.read(), "standard input")
    loaded = hub.load(model, device=machine.device(), dtype=dtype, text=True)
    use_threads(threads)
    found = analysis.next_words(loaded, text, top=top, temperature=temperature, top_k=top_k, top_p=top_p, layers=layers)
    if out is None:
        Console(highlight=False, soft_wrap=False).print(NextTable(found))
        return
    draw_next(found, out)
    typer.echo(f"{out}: the {len(found.candidates)} likeliest next tokens", err=True)
