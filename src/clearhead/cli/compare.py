"""``clearhead compare``: kinds of models trained on the same tokens, and what each gets right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead import machine
from clearhead.cli.models import Field, Learned, Megabytes, Valid, Vocabulary
from clearhead.cli.printing import Screen, echo, message, write

PICTURE = "comparison.svg"


def compare(
    text: Annotated[list[str] | None, typer.Argument(help="Files, folders or patterns.")] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Compare translators on this file of sentence pairs, as `train --pairs` reads it. Repeatable.",
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="Compare on a built-in text: `world-en`, `world-zh` or `python-docs`; or on associative recall: "
            "`mqar-LENGTH-PAIRS`, such as `mqar-64-4`."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of model: `transformer`, `lstm`, `gru`, `lstm-attention`, `gru-attention` or `convolution`. "
            "Repeatable; all by default. With `--pairs` all but `lstm` and `gru`, which do not translate."
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Minutes for the whole comparison, of which three quarters are training.")
    ] = 20.0,
    seeds: Annotated[int, typer.Option(help="Runs of each model, which differ in their random seed.")] = 1,
    width: Annotated[
        list[int] | None,
        typer.Option(
            help="Width of the Transformer; the others get as many weights. Repeatable. By default, the recipe's, and "
            "64 for associative recall."
        ),
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="A learning rate that each model tries first. Repeatable; 0.003, 0.01 and 0.03 by default."),
    ] = None,
    facts: Annotated[
        int | None,
        typer.Option(
            help="Held-out stories whose facts are asked; 1,000 by default on `world-en` and `world-zh`, the only "
            "texts with known facts."
        ),
    ] = None,
    no_speeds: Annotated[
        bool, typer.Option("--no-speeds", help="Leave out speed and memory by length, about two minutes.")
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="The recipe with the Transformer's shape and the batch; `tiny` by default.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Set one value for all models, such as `model.layers=6`; repeatable."
        ),
    ] = None,
    valid: Valid = None,
    tokenizer: Learned = None,
    vocabulary: Vocabulary = None,
    megabytes: Megabytes = None,
    field: Field = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Number of OpenMP threads of every run; by default the fastest, found by measuring."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder, `comparisons/NAME` by default. The same command again continues what it holds."),
    ] = None,
) -> None:
    """Train kinds of models of equal size on the same text, and compare them.

    First a sweep: each model trains briefly at each learning rate. Then each
    trains at its best rate, once on as many tokens as the others and once for
    as long. The folder keeps every run, comparison.json and a picture.
    """
    machine.share_cores()
    from clearhead import lab, recipes, runs
    from clearhead.cli.comparing import ComparisonDisplay
    from clearhead.runs.folder import name_of

    layout, sources = runs.layout_of(text, pairs, None, None)
    table = {
        "layout": layout,
        "sources": sources,
        "corpus": corpus,
        "megabytes": megabytes,
        "valid": valid,
        "tokenizer": tokenizer,
        "vocabulary": vocabulary,
        "field": field,
    }
    question = lab.asked(
        text=table,
        models=model,
        widths=width,
        rates=rate,
        recipe=recipe,
        settings=[recipes.read_setting(each) for each in setting or []],
        minutes=minutes,
        seeds=seeds,
        facts=facts,
        speeds=not no_speeds,
        threads=threads,
    )
    lab.check_picture(Path(PICTURE))  # fail before hours of training
    folder = out or Path("comparisons") / name_of(question.text)
    try:
        found = lab.carry_out(question, folder, ComparisonDisplay())
    except runs.Interrupted:
        echo(f"stopped; the same command continues {folder}", err=True)
        raise typer.Exit(130) from None
    Screen(soft_wrap=True).print(lab.ComparisonTable(found))
    lab.draw_comparison(found, folder / PICTURE)
    message(f"{folder / lab.FILE}: every number; {folder / PICTURE}: the picture")
    write(f"{folder}\n")
