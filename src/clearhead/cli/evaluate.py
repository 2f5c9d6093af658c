"""``clearhead eval``: how well a model predicts a text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clearhead.cli.models import Bits, Dtype, Field, From, Model, Threads, To, load_model
from clearhead.cli.printing import echo, write_json


def evaluate(
    model: Model,
    text: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, patterns, or `-` for standard input.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="For translators: files of sentence pairs, as for `train --pairs`."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="FILE", help="For translators: the sentences to translate, one per line.")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="FILE", help="With `--source`: their translations.")] = None,
    from_: From = None,
    to: To = None,
    first: Annotated[int | None, typer.Option(help="With pairs: use only this many, the first ones.")] = None,
    beams: Annotated[
        int | None, typer.Option(help="With pairs: beams of each translation; 5 by default, 1 is greedy.")
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(help="With pairs: scores are divided by length to the power of this, 1 by default."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="With pairs: how sacrebleu splits words, such as `13a`, `zh` or `char`; `zh` for Chinese, `char` for "
            "Japanese and `13a` for the rest by default."
        ),
    ] = None,
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
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Measure a model on text: nats per token, bits per byte, perplexity; or a translator on pairs: BLEU and chrF.

    The text is read in windows, and each token is predicted once. With
    --stride 512 and --window 1024, at least 512 tokens precede each one
    after the first window. Encoders predict tokens that are masked.
    """
    import math
    from dataclasses import asdict

    from clearhead import runs
    from clearhead.errors import OptionError, many
    from clearhead.generation import search_for

    layout, files = runs.layout_of(text, pairs, source, target)
    if files is None:
        raise OptionError("nothing to evaluate on: name a text, or --pairs FILE for a translator")
    of_pairs = {
        "--from": from_,
        "--to": to,
        "--first": first,
        "--beams": beams,
        "--length-penalty": length_penalty,
        "--tokenizer": tokenizer,
    }
    of_text = {"--window": window, "--stride": stride, "--mask-rate": mask_rate}
    others = of_pairs if layout is None else of_text
    if given := [name for name, value in others.items() if value is not None]:
        where = "sentence pairs (--pairs)" if layout is None else "plain text"
        raise OptionError(f"{', '.join(given)}: applies to {where} only; leave it out")
    loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=from_, target=to)
    scores = None
    rounding = None
    if layout is None:
        reading: dict[str, Any] = {
            "field": field,
            "encoding": encoding,
            "window": window,
            "stride": stride,
            "mask_rate": mask_rate,
        }
        found = runs.evaluate(loaded, files, **reading)
        if bits is not None:
            rounding = runs.rounding(load_model(model, dtype, threads), loaded, found, files, **reading)
    else:
        asked = {"beams": beams, "length_penalty": length_penalty}
        whole = runs.evaluate_pairs(
            loaded,
            files,
            search_for(loaded, {name: value for name, value in asked.items() if value is not None}),
            parallel=layout == "parallel",
            field=field,
            encoding=encoding,
            tokenizer=tokenizer,
            most=first,
        )
        found, scores = whole.evaluation, whole.scores
    if as_json:
        figures = {
            **({} if scores is None else asdict(scores)),
            "predicted": found.unit,
            "nats_per_token": found.loss,
            "bits_per_byte": found.bits_per_byte,
            "perplexity": found.perplexity if math.isfinite(found.perplexity) else None,  # JSON has no infinity
            "tokens": found.tokens,
            "bytes": found.text_bytes,
            **({} if rounding is None else {"bits": bits, **asdict(rounding)}),
        }
        write_json(figures)
        return
    if scores is not None:
        echo(f"{scores.bleu:.2f} BLEU  {scores.bleu_signature}")
        echo(f"{scores.chrf:.2f} chrF  {scores.chrf_signature}")
    echo(f"{found.loss:.4f} nats a {found.unit}")
    echo(f"{found.bits_per_byte:.4f} bits a byte")
    echo(f"{found.perplexity:,.2f} perplexity a {found.unit}")
    if rounding is not None:
        echo(
            f"{rounding.lost:+.4f} nats a {found.unit} by rounding to {bits} bits; divergence (KL) from the unrounded "
            f"model {rounding.divergence:.4f} nats a {found.unit}"
        )
    apart = "" if stride is None else f", {stride} apart"
    read = f"{many(found.tokens, found.unit)}, {many(found.text_bytes, 'byte')}"
    windows = "" if scores is not None else f", in windows of {many(found.window, 'token')}{apart}"
    echo(f"over {read}{windows}")
