"""``clearhead prove``: show that a killed run goes on to the bit on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def prove(
    what: Annotated[
        str, typer.Argument(metavar="RUN-OR-CONFIG", help="A run folder, a TOML file, or a named configuration.")
    ] = "tiny",
    kills: Annotated[int, typer.Option(help="How many times to kill.")] = 10,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws the moments.")] = 0,
    threads: Annotated[int, typer.Option(help="OpenMP threads of the runs.")] = 1,
) -> None:
    """Prove that a run killed at random moments and resumed ends with the same bits.

    Runs of a few steps on the processor are killed (kill -9), also while
    they save, resumed, and compared with one that was never killed: weights,
    optimizer, random numbers, log. All of it happens in a temporary folder.
    Exits with 1, naming the first tensor that differs, if one does.
    """
    from clearhead import runs
    from clearhead.cli.rows import print_rows

    try:
        proof = runs.prove(
            what, kills=kills, steps=steps, seed=seed, threads=threads, say=lambda line: typer.echo(line, err=True)
        )
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was proved, and nothing is left behind", err=True)
        raise typer.Exit(130) from None
    typer.echo("proved: every run that was killed and resumed ended with the bits of one that never was")
    rows = {
        "configuration": what,
        "steps": f"{proof.steps:,}",
        "kills": f"{proof.kills:,}, in {proof.runs:,} runs",
        "bits compared": f"{proof.bits:,}, 0 differ",
        "threads": f"{proof.threads}",
        "torch": proof.torch,
        "processor": proof.processor,
        "seconds": f"{proof.seconds:.1f}",
    }
    print_rows(rows)
