"""``clearhead look``: what the heads of a model attend to in a text, or what a prediction depends on."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads
from clearhead.cli.utf8 import decoded

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel


class By(StrEnum):
    """How to look."""

    attention = "attention"
    gradient = "gradient"


def look(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text to look at, or - for standard input.")],
    pair: Annotated[str | None, typer.Option(help="A second text, for encoders that read pairs.")] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query", "-q", help="The query token: its place (from 0; -1 is the last) or a word of the text."
        ),
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Only this layer, from 0; with --out, the one to enlarge.")] = None,
    head: Annotated[int | None, typer.Option(help="Only this head, from 0; with --out, the one to enlarge.")] = None,
    by: Annotated[
        By,
        typer.Option(help="attention: what heads read; gradient: what the next token depends on, in any model."),
    ] = By.attention,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Save a picture instead: x.png, x.svg, x.html or x.json."),
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
    from clearhead.errors import OptionError

    if by is By.gradient and any(option is not None for option in (pair, layer, head)):
        raise OptionError("--by gradient looks through the whole model at one text; drop --pair, --layer and --head")
    if out is not None:
        check(out)
    if text == "-":
        text = decoded(sys.stdin.buffer.read(), "standard input")
    loaded = hub.load(model, device=machine.device(), dtype=dtype, text=True)
    use_threads(threads)
    if by is By.gradient:
        show_gradient(loaded, text, query=query, out=out)
    else:
        show(loaded, text, pair=pair, query=query, layer=layer, head=head, out=out)


def show_gradient(model: LanguageModel, text: str, *, query: str | None, out: Path | None) -> None:
    """The verb by gradient: prints the table, or saves the picture to ``out`` and says so."""
    from rich.console import Console

    from clearhead.analysis import attribution, words_of
    from clearhead.drawing import AttributionTable, draw_attribution, query_place

    words = words_of(model, model.encode(text, "look: the text"), text)
    found = attribution(model, text, query=query_place(words, query))
    if out is None:
        Console(highlight=False, soft_wrap=False).print(AttributionTable(found))
        return
    draw_attribution(found, out)
    messages = Console(stderr=True, highlight=False)
    messages.print(f"{out}: what place {found.place} predicts, by gradient", markup=False, soft_wrap=True)


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
    from rich.console import Console
    from rich.progress import Progress

    from clearhead.analysis import observe
    from clearhead.drawing import draw, reading

    record = observe(model, text, pair=pair)
    if out is None:
        table = reading(record, query, layer=layer, head=head)
        Console(highlight=False, soft_wrap=False).print(table)
        return
    messages = Console(stderr=True, highlight=False)
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
    messages.print(
        f"{out}: all heads, and layer {focus.site.layer}, head {focus.head} at place {place}",
        markup=False,
        soft_wrap=True,
    )
