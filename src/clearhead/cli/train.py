"""``clearhead train``: learn from text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from clearhead import machine
from clearhead.cli.models import Field, Learned, Megabytes, Valid, Vocabulary
from clearhead.cli.printing import echo, write

if TYPE_CHECKING:
    from clearhead.runs import Interrupted


def train(
    text: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, patterns, or `-` for standard input.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Train a translator on this file of sentence pairs: a tab between both sides, or `.jsonl` with the "
            "fields `source` and `target` (`--field en,de` for others). Repeatable.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Train a translator on two files, line by line: the sentences to translate."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="FILE", help="With `--source`: the translation of each of its lines.")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from this model, not from random weights: a run, a released model's folder, or its "
            "name on the hub.",
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(help="Train on a built-in text instead of files: `world-en`, `world-zh` or `python-docs`."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes for the whole command; 5 by default. Measures this machine and picks model size, "
            "batch size and learning-rate schedule to fit."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Number of steps, instead of `--minutes`. The model is that of the recipe `tiny` unless you "
            "choose one, so it does not depend on the machine."
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            help="Keep this many models of the run: the first before any step, the last at the end, the others evenly "
            "between. `runs/book@500` is then the model of step 500, for every verb."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Kind of model: `transformer` (the default), `lstm`, `gru`, `lstm-attention`, `gru-attention` or "
            "`convolution`; for pairs all but `lstm` and `gru`. All have about as many weights, within 2 %."
        ),
    ] = None,
    masked: Annotated[
        bool,
        typer.Option(
            "--masked",
            help="Train an encoder, which sees both sides of the text, to predict masked tokens. "
            "`--set train.masks.rate=0.15` sets how many are masked.",
        ),
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="A named configuration: `nanogpt-cpu`, `shakespeare`, `small` or `tiny`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with the tables `text`, `model` and `train`, such as the `recipe.toml` of another run."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set one value, such as `model.layers=6`; repeatable. Overrides the other options, which "
            "override `--config`, which overrides `--recipe`.",
        ),
    ] = None,
    valid: Valid = None,
    tokenizer: Learned = None,
    vocabulary: Vocabulary = None,
    megabytes: Megabytes = None,
    field: Field = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the files, such as `gb18030`; `utf-8` by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder, `runs/NAME` by default. It must be empty or not exist.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the run in this folder with its own settings; only `--accept-changes` goes with it."
        ),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="With `--resume`: continue although `recipe.toml` was changed after the state was saved; lists each "
            "change.",
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Random seed; 0 by default.")] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Number of OpenMP threads; by default, the fastest measured with `--minutes`, and by the size of a "
            "step with `--steps`."
        ),
    ] = None,
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

    layout, sources = runs.layout_of(text, pairs, source, target)
    asked = runs.Asked(
        layout=layout,
        sources=sources,
        corpus=corpus,
        megabytes=megabytes,
        valid=valid,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        field=field,
        encoding=encoding,
        minutes=minutes,
        steps=steps,
        keep=keep,
        seed=seed,
        threads=threads,
        model=model,
        masked=masked,
        recipe=recipe,
        config=config,
        settings=tuple(map(recipes.read_setting, setting or ())),
        origin=origin,
        out=out,
    )
    try:
        if resume is None:
            if accept_changes:
                raise OptionError("--accept-changes applies to --resume, and no run was named; give --resume FOLDER")
            run = runs.start(asked, Display(), started=started)
        elif asked != runs.Asked():
            raise OptionError(
                f"--resume {resume} continues with the run's own settings; drop the text and all other options"
            )
        else:
            run = runs.go_on(resume, Display(), started=started, accept_changes=accept_changes)
    except runs.Interrupted as stopped:
        exit_interrupted(stopped)
    write(f"{run.folder}\n")


def exit_interrupted(stopped: Interrupted) -> NoReturn:
    """Says how to continue, and exits with code 130."""
    from clearhead import runs

    if stopped.step is None:
        echo("stopped before the first step", err=True)
    else:
        echo(f"stopped; saved after step {stopped.step:,}; continue with", err=True)
        echo(f"  {runs.resuming(stopped.folder)}", err=True)
    raise typer.Exit(130) from None
