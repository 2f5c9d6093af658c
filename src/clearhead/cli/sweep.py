"""``clearhead sweep``: every head, part, place or edge of a model edited in turn, and what that changes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.edits import Against, Token
from clearhead.cli.models import Dtype, From, Model, Threads, To, Translation, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text
from clearhead.errors import OptionError, many


class Over(StrEnum):
    """What a sweep goes over."""

    heads = "heads"
    parts = "parts"
    places = "places"
    edges = "edges"


class MeasureName(StrEnum):
    """What a sweep measures unless a token is named."""

    kl = "kl"
    nll = "nll"


class How(StrEnum):
    """How a sweep finds the changes."""

    run = "run"
    gradient = "gradient"


def sweep(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text, or `-` for standard input.")],
    over: Annotated[
        Over,
        typer.Option(
            help="What to edit in turn: `heads`, `parts` (attentions and feed-forwards), `places` (the residual stream "
            "at each place, before the first layer and after each), or `edges` (what the last place reads of each key)."
        ),
    ] = Over.heads,
    target: Translation = None,
    from_: From = None,
    to: To = None,
    source: Annotated[
        str | None,
        typer.Option(help="Another text with as many tokens: put in what the model has there, instead of zeroing."),
    ] = None,
    measure: Annotated[
        MeasureName,
        typer.Option(help="`kl`: how far the next prediction moves, in nats; `nll`: the loss of the text."),
    ] = MeasureName.kl,
    token: Token = None,
    against: Against = None,
    by: Annotated[
        How,
        typer.Option(
            help="`run` makes every edit; `gradient` predicts all changes from one pass and its gradient, for large "
            "models."
        ),
    ] = How.run,
    top: Annotated[int, typer.Option(min=1, help="How many edits to list, those that change most.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a `.png` or `.svg` picture, an `.html` page, or a `.json` file, instead of printing a table.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Edit every head of a model in turn, or every part, place or edge, and show what changes most.

    Without --source an edit zeroes a head's, part's or place's output
    (ablation) or hides a key (knock-out); with it, the output comes from the
    other text (patching).
    """
    from clearhead import analysis
    from clearhead.analysis.given import read
    from clearhead.cli.edits import measure as of_token
    from clearhead.drawing import SweepTable, draw_sweep
    from clearhead.drawing.draw_sweep import check_sweep_path
    from clearhead.watching.text_record import KEPT

    chosen = of_token(token, against) or {"kl": analysis.kl, "nll": analysis.nll}[measure]
    if token is not None and measure is not MeasureName.kl:
        raise OptionError("--measure and --token both say what to measure; give one")
    if source is not None and over is Over.edges:
        raise OptionError("--over edges hides keys, which takes nothing from another text; drop --source")
    if out is not None:
        check_sweep_path(out)
    text = given_text(text)
    loaded = load_model(model, dtype, threads).with_languages(source=from_, target=to)
    if source is None:
        other, translated = None, target
    else:  # of a translator, the other text under the same translation
        _, translated = read(loaded, text, "sweep", target=target).shown()
        other = analysis.observe(loaded, source, target=translated, keep=KEPT)
    found = analysis.sweep(loaded, text, over.value, chosen, target=translated, source=other, by=by.value)
    if out is None:
        Screen().print(SweepTable(found, top))
        return
    draw_sweep(found, out)
    message(f"{out}: {many(len(found.entries), 'edit')}, most changed by {found.top(1)[0].name}")
