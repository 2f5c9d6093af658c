"""``clearhead effect``: what edits change in the next token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.edits import Against, Edits, Token
from clearhead.cli.models import Dtype, From, Model, Threads, To, Translation, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text
from clearhead.errors import OptionError


def effect(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text so far, or `-` for standard input.")],
    edit: Edits = None,
    target: Translation = None,
    from_: From = None,
    to: To = None,
    token: Token = None,
    against: Against = None,
    top: Annotated[int, typer.Option(min=1, help="Number of likeliest tokens to list from each prediction.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Save a `.json` file, instead of printing a table."),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Show what edits change in the prediction of the next token.

    Probabilities without the edits and with them, and how far the two
    predictions are apart (KL, in nats).
    """
    from clearhead import analysis
    from clearhead.cli.edits import check_forms, measure, parsed
    from clearhead.drawing import EffectTable, draw_effect
    from clearhead.drawing.draw_sweep import check_effect_path

    if not edit:
        raise OptionError("effect: there is no edit; give at least one, such as --edit 'ablate 0.0'")
    check_forms(edit)
    measured = measure(token, against)
    if out is not None:
        check_effect_path(out)
    text = given_text(text)
    loaded = load_model(model, dtype, threads).with_languages(source=from_, target=to)
    measures = () if measured is None else measured
    found = analysis.effect(loaded, text, parsed(loaded, edit), target=target, measures=measures, top=top)
    if out is None:
        Screen().print(EffectTable(found))
        return
    draw_effect(found, out)
    message(f"{out}: what the edits change at place {found.place}")
