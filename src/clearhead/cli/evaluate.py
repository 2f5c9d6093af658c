"""``clearhead eval``: how well a model predicts a text."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads
from clearhead.cli.printing import echo, write_json


def evaluate(
    model: Model,
    text: Annotated[list[str], typer.Argument(help="Files, folders, patterns, or `-` for standard input.")],
    field: Annotated[
        str | None, typer.Option(help="The field of `.jsonl` lines that holds the text; `text` by default.")
    ] = None,
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

    from clearhead import hub, machine, runs, training
    from clearhead.cli.threads import use_threads
    from clearhead.errors import ClearheadError, many
    from clearhead.text import sources, tokenize
    from clearhead.training.loop import EVALUATED_AT_ONCE

    use_threads(threads)
    loaded = hub.load(model, device=machine.device(), dtype=dtype, text=True)
    masks = None if mask_rate is None else training.MaskConfig(rate=mask_rate)
    objective = training.objective_of(training.default_masks(loaded.network, masks, "eval"), loaded.tokenizer)
    texts = sources(text, field=field, encoding=encoding)
    runs.check_field(field, texts)
    window = min(loaded.config.context, EVALUATED_AT_ONCE) if window is None else window
    tokens = tokenize(texts, loaded.tokenizer)
    loaded.tokenizer.note_unknown(tokens.ids)
    evaluation = training.evaluate(loaded.network, tokens, window=window, stride=stride, objective=objective)
    if not math.isfinite(evaluation.loss):
        raise ClearheadError(
            f"the loss is {evaluation.loss}: the computation overflowed the model's dtype; use a wider one "
            "(--dtype float32)"
        )
    if as_json:
        figures = {
            "predicted": evaluation.unit,
            "nats_per_token": evaluation.loss,
            "bits_per_byte": evaluation.bits_per_byte,
            "perplexity": evaluation.perplexity
            if math.isfinite(evaluation.perplexity)
            else None,  # JSON has no infinity
            "tokens": evaluation.tokens,
            "bytes": evaluation.text_bytes,
        }
        write_json(figures)
        return
    echo(f"{evaluation.loss:.4f} nats a {evaluation.unit}")
    echo(f"{evaluation.bits_per_byte:.4f} bits a byte")
    echo(f"{evaluation.perplexity:.2f} perplexity a {evaluation.unit}")
    apart = "" if stride is None else f", {stride} apart"
    read = f"{many(evaluation.tokens, evaluation.unit)}, {many(evaluation.text_bytes, 'byte')}"
    echo(f"over {read}, in windows of {many(window, 'token')}{apart}")
