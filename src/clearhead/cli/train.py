"""``clearhead train``: learn from text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from clearhead import machine
from clearhead.cli.models import Threads

if TYPE_CHECKING:
    from clearhead.runs import Interrupted


def train(
    text: Annotated[list[str] | None, typer.Argument(help="Files, folders, patterns, or - for standard input.")] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from this model: a run, a released model's folder, or a name on the hub.",
        ),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Use a built-in corpus instead; see `clearhead corpora`.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for the whole run; sets model size and schedule.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps, instead of --minutes.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="transformer (the default), lstm, gru, lstm-attention, gru-attention or convolution; all of one size."
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="A named configuration.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with text, model and train tables.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Override one setting: model.layers=6. Repeatable."),
    ] = None,
    valid: Annotated[
        list[str] | None, typer.Option(help="Validation text; by default the last tenth of the text.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="bpe, characters, bytes, or a tokenizer.json.")] = None,
    vocabulary: Annotated[
        int | None, typer.Option(help="Size of a bpe vocabulary; by default it depends on the text.")
    ] = None,
    megabytes: Annotated[float | None, typer.Option(help="Size of a built-in corpus.")] = None,
    field: Annotated[str | None, typer.Option(help="The field of .jsonl lines that holds the text.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files; default utf-8.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    threads: Threads = None,
) -> None:
    """Train a language model on text and save it in a run folder.

    Without --recipe, --config or --steps, --minutes (default 5) measures this machine and picks the rest.
    With --from it measures with that model, which keeps its shape and its tokenizer.
    """
    started = time.perf_counter()
    machine.share_cores()
    from clearhead import recipes, runs
    from clearhead.cli.progress import Display
    from clearhead.errors import OptionError

    given = {
        "text": {
            "sources": text or None,
            "corpus": corpus,
            "megabytes": megabytes,
            "valid": valid,
            "tokenizer": tokenizer,
            "vocabulary": vocabulary,
            "field": field,
            "encoding": encoding,
        },
        "train": {"minutes": minutes, "steps": steps, "seed": seed, "threads": threads},
    }
    try:
        if resume is None:
            settings = [recipes.read_setting(each) for each in setting or []]
            asked = runs.Asked(
                given=given,
                model=model,
                recipe=recipe,
                config=config,
                settings=settings,
                origin=origin,
                out=out,
            )
            run = runs.start(asked, Display(), started=started)
        elif runs.present(given) or any(other is not None for other in (origin, model, recipe, config, setting, out)):
            raise OptionError(
                f"--resume {resume} continues with the run's own settings; drop the text and all other options"
            )
        else:
            run = runs.go_on(resume, Display(), started=started)
    except runs.Interrupted as stopped:
        told_interrupted(stopped)
    typer.echo(str(run.folder))


def told_interrupted(stopped: Interrupted) -> NoReturn:
    """Says how to continue, and exits with code 130."""
    from clearhead import runs

    if stopped.step is None:
        typer.echo("stopped before the first step", err=True)
    else:
        typer.echo(f"stopped; saved after step {stopped.step:,}; continue with", err=True)
        typer.echo(f"  {runs.resuming(stopped.folder)}", err=True)
    raise typer.Exit(130) from None
