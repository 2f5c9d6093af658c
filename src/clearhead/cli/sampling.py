"""Sampling options that ``generate`` and ``chat`` share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

# Random seeds are below this, so that they are short enough to retype.
SEEDS = 1_000_000

Temperature = Annotated[
    float | None,
    typer.Option(
        help="Divides the logits: below 1 is safer, above 1 wilder, 0 always takes the likeliest token. 0.8 by default."
    ),
]
TopK = Annotated[int | None, typer.Option(help="Sample from the k likeliest tokens.")]
TopP = Annotated[float | None, typer.Option(help="Sample from the fewest tokens whose probabilities add up to this.")]
MinP = Annotated[
    float | None, typer.Option(help="Sample from tokens at least this fraction as likely as the likeliest.")
]
RepetitionPenalty = Annotated[float | None, typer.Option(help="Above 1, makes tokens already in the text less likely.")]


def chosen(*, seed: int | None, **options: Any) -> dict[str, Any]:
    """The options that were given, and a seed. Raises OptionError as Sampling does."""
    import random

    from clearhead.generation import Sampling

    given = {name: value for name, value in options.items() if value is not None}
    given["seed"] = random.randrange(SEEDS) if seed is None else seed
    Sampling(**given)  # fail before the model is loaded
    return given
