"""``clearhead export``: a folder that other tools open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.models import Model


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to make; it must not exist.")],
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16 or float64; stored: as in the model's own files.")
    ] = "stored",
) -> None:
    """Write a model into a clean folder: config, weights, tokenizer, chat template, generation settings.

    Of a run it is the model that was kept. transformers opens the folder
    where the model has the shape of a released family.
    """
    from clearhead import hub

    loaded = hub.load(model, dtype=dtype)
    hub.export(out, loaded)
    written = sorted(out.iterdir())
    size = sum(path.stat().st_size for path in written if path.is_file())
    kind = str(loaded.dtype).removeprefix("torch.")
    typer.echo(
        f"{out}: {loaded.metadata.family}, {kind}, {size / 1e6:,.1f} MB: {', '.join(path.name for path in written)}"
    )
