"""How the next token is drawn: the options that the verbs that write share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

# A seed for one who gave none; short enough to be typed again.
SEEDS = 1_000_000

Temperature = Annotated[
    float | None, typer.Option(help="Logits are divided by it; 0: always the likeliest token; else 0.8.")
]
TopK = Annotated[int | None, typer.Option(help="Draw among the k likeliest tokens.")]
TopP = Annotated[float | None, typer.Option(help="Draw among the fewest tokens that together have this probability.")]
MinP = Annotated[
    float | None, typer.Option(help="Draw among tokens at least this fraction as likely as the likeliest.")
]
RepetitionPenalty = Annotated[
    float | None, typer.Option(help="Above 1 makes tokens that stand in the text already less likely.")
]


def chosen(*, seed: int | None, **options: Any) -> dict[str, Any]:
    """The options that were given, by their names in Sampling, and a seed. Raises OptionError as Sampling does."""
    import random

    from clearhead.generation import Sampling

    given = {name: value for name, value in options.items() if value is not None}
    given["seed"] = random.randrange(SEEDS) if seed is None else seed
    Sampling(**given)  # a slip is told before the model is loaded
    return given
