"""``clearhead eval``: how well a model predicts a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run folder.")],
    text: Annotated[list[str], typer.Argument(help="Files, folders, patterns, or - for standard input.")],
    field: Annotated[str | None, typer.Option(help="The field of .jsonl lines that holds the text.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the files.")] = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    threads: Annotated[int | None, typer.Option(help="OpenMP threads; measured unless given.")] = None,
) -> None:
    """Measure a model on text: nats per token, bits per byte, perplexity.

    The text is read in windows of the model's context, one after another; each token is predicted once.
    """
    import json

    from clearhead import hub, machine, runs
    from clearhead.cli.threads import use_threads
    from clearhead.text import sources, tokenize
    from clearhead.train import score_of

    loaded = hub.load(model, device=machine.device())
    use_threads(threads)
    texts = sources(text, field=field, encoding=encoding)
    runs.check_field(field, texts)
    score = score_of(loaded.transformer, tokenize(texts, loaded.tokenizer))
    if as_json:
        figures = {
            "nats_per_token": score.loss,
            "bits_per_byte": score.bits_per_byte,
            "perplexity": score.perplexity,
            "tokens": score.tokens,
            "bytes": score.text_bytes,
        }
        typer.echo(json.dumps(figures))
        return
    typer.echo(f"{score.loss:.4f} nats a token")
    typer.echo(f"{score.bits_per_byte:.4f} bits a byte")
    typer.echo(f"{score.perplexity:.2f} perplexity a token")
    typer.echo(
        f"over {score.tokens:,} tokens, {score.text_bytes:,} bytes, in windows of {loaded.config.context} tokens"
    )
