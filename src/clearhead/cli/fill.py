"""``clearhead fill``: fill the masks of a text with an encoder."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.edits import Edits
from clearhead.cli.models import Bits, Dtype, Model, Threads, load_model
from clearhead.cli.printing import echo, write_json


def fill(
    model: Model,
    text: Annotated[
        list[str], typer.Argument(help="Texts with the tokenizer's mask token, such as `[MASK]` or `<mask>`.")
    ],
    top: Annotated[int, typer.Option(help="Number of tokens to show per mask.")] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per text: text, masks (place, guesses).")
    ] = False,
    edit: Edits = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Fill the masks of a text: the likeliest tokens for each, with their probabilities.

    For encoders such as BERT, which see both sides of a mask. Several masks in
    a text are filled independently.
    """
    from dataclasses import asdict

    from clearhead.cli.edits import check_forms, parsed
    from clearhead.encoding import fill

    check_forms(edit)
    loaded = load_model(model, dtype, threads, bits=bits)
    changes = parsed(loaded, edit)
    for number, each in enumerate(text):
        masks = fill(loaded, each, top=top, edits=changes)
        if as_json:
            write_json({"text": each, "masks": [asdict(mask) for mask in masks]})
            continue
        echo(("\n" if number else "") + each)
        for count, mask in enumerate(masks, start=1):
            if len(masks) > 1:
                echo(f"mask {count}, place {mask.place}")
            for guess in mask.guesses:
                echo(f"{guess.probability:8.4f}  {guess.token.strip() or repr(guess.token)}")
