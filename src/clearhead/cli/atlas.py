"""``clearhead atlas``: every head by every measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Threads, load_model
from clearhead.cli.printing import Screen, echo, legend, message, write_json
from clearhead.cli.records import LookedAt, ModelOrRecord, Spill, record_or_text


def atlas(
    model: ModelOrRecord,
    text: LookedAt = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Sort the heads by this column of the table, the largest first; by layer if left out."),
    ] = None,
    top: Annotated[int | None, typer.Option(help="Show only this many heads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of a table.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a picture with a grid of layers and heads for each measure: a `.png`, `.svg`, `.html` "
            "(a table to sort) or `.json` file.",
        ),
    ] = None,
    spill: Spill = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Measure every head over a whole text: what it attends to, how far, how evenly.

    One line per head, with the mean of each measure over the text. All heads
    are measured in one pass over their queries and keys, at any length.
    """
    from rich.progress import Progress

    from clearhead import analysis
    from clearhead.drawing import check_atlas, draw_atlas
    from clearhead.errors import OptionError
    from clearhead.watching import COLUMNS
    from clearhead.watching.atlas import check_order

    check_order(sort, top)
    if out is not None:
        check_atlas(out)
        if as_json:
            raise OptionError("--json prints and --out saves; give one of them")
    source = record_or_text(model, "atlas", text, spill)
    if isinstance(source, str):
        record = analysis.observe(load_model(model, dtype, threads), source, keep="values", spill=spill)
    else:
        record = source
    messages = Screen(stderr=True, soft_wrap=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("layers", total=None)
        found = record.atlas(lambda done, sites: progress.update(task, completed=done, total=sites))
    if sort is not None:
        found = found.by(sort)
    found = found.first(top)
    if as_json:
        write_json(found.to_dict())
    elif out is not None:
        draw_atlas(found, out)
        message(f"{out}: {len(found.rows)} heads by {len(found.columns)} measures")
    else:
        echo(str(found))
        echo()
        legend({column: COLUMNS[column] for column in found.columns})
