"""``clearhead heads``: heads named by what they do."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads, load_model
from clearhead.cli.printing import echo, legend, write_json
from clearhead.language import mark, spoken


def heads(
    model: Model,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Show all heads, sorted by the score of this kind: `previous`, `next` (encoders), `duplicate`, "
            "`induction`, `sink`, `positional`, `retrieval` or `copying`. If left out, the heads that have a name, by "
            "layer."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(help="Show only this many heads.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random texts.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")] = False,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Name a model's heads by what they do in random text that repeats itself.

    Previous-token, duplicate-token, induction, sink, positional, retrieval and
    copying heads, each with its score; in encoders next-token heads too. Copying
    is measured by taking each head out: how much of what repetition gains is lost.
    """
    from clearhead import analysis
    from clearhead.analysis.heads import LEAST, check_kind
    from clearhead.errors import OptionError

    if kind is not None:
        check_kind(kind)
    if top is not None and top < 1:
        raise OptionError.of("top", top, "at least 1")
    loaded = load_model(model, dtype, threads, text=False)
    found = analysis.find_heads(loaded, seed=seed)
    if as_json:
        write_json(found.to_dict())
        return
    shown = [each for each in found if each.names] if kind is None else found.ranked(kind)
    echo(found.table(shown[:top]))
    if not shown:
        echo("no head has a score that is high enough for a name; --kind shows the scores of all heads")
    echo()
    named = {name: spoken(f"named from {LEAST[name]:g}") for name in found.kinds}
    legend({name: spoken(meaning) + mark("; ") + named[name] for name, meaning in found.kinds.items()})
