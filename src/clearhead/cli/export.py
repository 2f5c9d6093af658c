"""``clearhead export``: a model folder for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Model
from clearhead.cli.printing import echo
from clearhead.language import mark


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to create; it must not exist.")],
    dtype: Annotated[
        str,
        typer.Option(
            help="Precision of the weights: `float32`, `bfloat16`, `float16`, `float64`, or `stored`, as in "
            "the model's files."
        ),
    ] = "stored",
) -> None:
    """Write a model to a clean folder: config, weights, tokenizer, chat template, generation settings.

    For a run, that is the model it kept. transformers opens the folder if
    the model has the architecture of a released family.
    """
    from clearhead import hub

    loaded = hub.load(model, dtype=dtype)
    hub.export(out, loaded)
    written = sorted(out.iterdir())
    size = sum(path.stat().st_size for path in written if path.is_file())
    kind = str(loaded.dtype).removeprefix("torch.")
    about = mark(", ").join((str(loaded.metadata.family), kind, f"{size / 1e6:,.1f} MB"))
    echo(mark(": ").join((str(out), about, ", ".join(path.name for path in written))))
