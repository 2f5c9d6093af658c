"""``clearhead history``: how the heads of a run form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Threads
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text


def history(
    run: Annotated[Path, typer.Argument(help="A run folder that keeps models (`train --keep 20`).")],
    text: Annotated[str, typer.Argument(help="The text, or `-` for standard input.")],
    measure: Annotated[
        list[str] | None,
        typer.Option(help="A column of `clearhead atlas`, such as `induction`. Repeatable; all by default."),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="How many heads to list for each measure, those that change most.")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a `.png` or `.svg` picture, a line for each head over the steps, an `.html` page, or a `.json` "
            "file with all numbers, instead of printing a table.",
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Measure every head on a text in each model that a run kept: how heads form in training."""
    from rich.progress import Progress

    from clearhead import analysis, machine
    from clearhead.drawing import HistoryTable, draw_history
    from clearhead.drawing.draw_history import check_history_path
    from clearhead.watching import COLUMNS

    if out is not None:
        check_history_path(out)
    text = given_text(text)
    machine.use_threads(threads)
    messages = Screen(stderr=True, soft_wrap=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("models", total=None)
        found = analysis.history(
            run,
            text,
            measures=measure or tuple(COLUMNS),
            progress=lambda done, models: progress.update(task, completed=done, total=models),
        )
    if out is None:
        Screen().print(HistoryTable(found, top))
        return
    draw_history(found, out)
    message(f"{out}: {len(found.atlases[0])} heads in {len(found)} models, {len(found.measures)} measures")
