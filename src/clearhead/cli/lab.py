"""``clearhead lab``: the claims of the reading note, each an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead import machine
from clearhead.cli.models import Megabytes
from clearhead.cli.printing import Screen, echo, write
from clearhead.errors import OptionError
from clearhead.language import current

FOLDER = Path("lab")
WORLDS = {"en": "world-en", "zh": "world-zh"}


def lab(
    claim: Annotated[list[str] | None, typer.Argument(help="Experiments to run; without any, list them.")] = None,
    run_all: Annotated[bool, typer.Option("--all", help="Run every experiment.")] = False,
    minutes: Annotated[
        float, typer.Option(help="Minutes in all; most of them train the models that the experiments need.")
    ] = 20.0,
    model: Annotated[
        str | None,
        typer.Option(help="Look into this model, a folder or a name on the hub, instead of training one."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(help="The built-in text to train on: `world-en`, or `world-zh` by default in Chinese."),
    ] = None,
    megabytes: Megabytes = None,
    seed: Annotated[int, typer.Option(help="Random seed of everything that is trained.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder, `lab` by default. The same command again continues what it holds."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Number of OpenMP threads of every run; by default the fastest, found by measuring."),
    ] = None,
) -> None:
    """Test the claims of the reading note on attention, one experiment each.

    Each experiment writes a page in English and Chinese, a picture and its
    numbers as JSON to the folder, and prints the verdict.
    """
    machine.share_cores()
    from clearhead import runs
    from clearhead.cli.laboratory import LabDisplay, Listed
    from clearhead.lab import note

    if claim and run_all:
        raise OptionError("lab: --all runs every experiment; leave out the names")
    if not claim and not run_all:
        Screen(soft_wrap=True).print(Listed())
        return
    setting = note.Setting(
        corpus=corpus or WORLDS[current()], megabytes=megabytes, model=model, minutes=minutes, seed=seed
    )
    folder = out or FOLDER
    names = list(dict.fromkeys(claim or note.EXPERIMENTS))
    display = LabDisplay(tables=len(names) == 1)
    try:
        note.carry_out(names, folder, setting, display, threads=threads)
    except runs.Interrupted:
        echo(f"stopped; the same command continues {folder}", err=True)
        raise typer.Exit(130) from None
    write(f"{folder}\n")
