"""``clearhead eval``: how well a model predicts a text."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Field, Model, Threads, load_model
from clearhead.cli.printing import echo, write_json


def evaluate(
    model: Model,
    text: Annotated[list[str], typer.Argument(help="Files, folders, patterns, or `-` for standard input.")],
    field: Field = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the files, such as `gb18030`.")] = "utf-8",
    window: Annotated[
        int | None, typer.Option(help="Tokens read at once; by default the context length, at most 4,096.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Tokens from the start of one window to the start of the next; `--window` by default. A "
            "smaller stride gives each token more context and takes longer."
        ),
    ] = None,
    mask_rate: Annotated[
        float | None,
        typer.Option(
            help="For models that predict masked tokens: the fraction of tokens to mask, always the same ones; 0.3 by "
            "default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Measure a model on text: nats per token, bits per byte, perplexity.

    The text is read in windows, and each token is predicted once. With
    --stride 512 and --window 1024, at least 512 tokens precede each one
    after the first window. Encoders predict tokens that are masked.
    """
    import math

    from clearhead import runs
    from clearhead.errors import many

    loaded = load_model(model, dtype, threads)
    found = runs.evaluate(
        loaded, text, field=field, encoding=encoding, window=window, stride=stride, mask_rate=mask_rate
    )
    if as_json:
        figures = {
            "predicted": found.unit,
            "nats_per_token": found.loss,
            "bits_per_byte": found.bits_per_byte,
            "perplexity": found.perplexity if math.isfinite(found.perplexity) else None,  # JSON has no infinity
            "tokens": found.tokens,
            "bytes": found.text_bytes,
        }
        write_json(figures)
        return
    echo(f"{found.loss:.4f} nats a {found.unit}")
    echo(f"{found.bits_per_byte:.4f} bits a byte")
    echo(f"{found.perplexity:.2f} perplexity a {found.unit}")
    apart = "" if stride is None else f", {stride} apart"
    read = f"{many(found.tokens, found.unit)}, {many(found.text_bytes, 'byte')}"
    echo(f"over {read}, in windows of {many(found.window, 'token')}{apart}")
