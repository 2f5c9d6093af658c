"""``clearhead prove``: check on this machine that killed and resumed runs end with the same bits."""

from __future__ import annotations

from typing import Annotated

import typer


def prove(
    what: Annotated[
        str, typer.Argument(metavar="RUN-OR-CONFIG", help="A run folder, a TOML file, or a named configuration.")
    ] = "tiny",
    kills: Annotated[int, typer.Option(help="Number of kills.")] = 10,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 20,
    seed: Annotated[int, typer.Option(help="Random seed for the moments of the kills.")] = 0,
    threads: Annotated[int, typer.Option(help="OpenMP threads of the runs.")] = 1,
) -> None:
    """Prove that a run killed at random moments and resumed ends with the same bits.

    Runs of a few steps on the processor are killed (kill -9), also while
    they save, resumed, and compared with one that was never killed: weights,
    optimizer, random numbers, log. All of it happens in a temporary folder;
    if prove itself is killed, the next one removes it.
    Exits with 1, naming the first tensor that differs, if one does.
    """
    from clearhead import runs
    from clearhead.cli.printing import echo, message, rows

    try:
        proof = runs.prove(what, kills=kills, steps=steps, seed=seed, threads=threads, say=message)
    except KeyboardInterrupt:
        message("stopped; nothing was proved, and nothing is left behind")
        raise typer.Exit(130) from None
    echo("proved: every run that was killed and resumed ended with the same bits as one that was not")
    rows(
        {
            "configuration": what,
            "steps": f"{proof.steps:,}",
            "kills": f"{proof.kills:,}, in {proof.runs:,} runs",
            "bits compared": f"{proof.bits:,}, 0 differ",
            "threads": f"{proof.threads}",
            "torch": proof.torch,
            "processor": proof.processor,
            "seconds": f"{proof.seconds:.1f}",
        }
    )
