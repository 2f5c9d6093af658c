"""``clearhead look``: what the heads of a model attend to in a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads
from clearhead.cli.printing import Screen
from clearhead.cli.utf8 import read_text

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel


def look(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text to look at, or `-` for standard input.")],
    pair: Annotated[
        str | None, typer.Option(help="A second text, which an encoder reads together with the first.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            help="The token whose attention is shown: its place (from 0; -1 is the last) or a word of the "
            "text. The last token by default.",
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="Show only this layer, counted from 0; with `--out`, enlarge it.")
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Show only this head, counted from 0; with `--out`, enlarge it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a picture of all heads, one of them enlarged, instead of printing a table: a `.png`, "
            "`.svg`, `.html` or `.json` file.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Show what each head attends to at one token of a text, as a table or as a picture of all heads.

    The default query is the last token. A picture enlarges the head with the
    least weight on the first token at the query, unless --layer and --head
    pick one.
    """
    from clearhead import hub, machine
    from clearhead.cli.threads import use_threads
    from clearhead.drawing.draw import check

    if out is not None:
        check(out)
    if text == "-":
        text = read_text("-")
    loaded = hub.load(model, device=machine.device(), dtype=dtype, text=True)
    use_threads(threads)
    show(loaded, text, pair=pair, query=query, layer=layer, head=head, out=out)


def show(
    model: LanguageModel,
    text: str,
    *,
    pair: str | None = None,
    query: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    out: Path | None = None,
) -> None:
    """The verb, given a loaded model: prints the table, or saves the picture to ``out`` and says so."""
    from rich.progress import Progress

    from clearhead.analysis import observe
    from clearhead.drawing import draw, reading

    record = observe(model, text, pair=pair)
    if out is None:
        table = reading(record, query, layer=layer, head=head)
        Screen().print(table)
        return
    messages = Screen(stderr=True, soft_wrap=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("heads", total=None)
        focus = draw(
            record,
            out,
            layer=layer,
            head=head,
            query=query,
            progress=lambda done, heads: progress.update(task, completed=done, total=heads),
        )
    place = focus.row + record.first_place
    messages.print(f"{out}: all heads, and layer {focus.site.layer}, head {focus.head} at place {place}")
