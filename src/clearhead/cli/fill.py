"""``clearhead fill``: fill the masks of a text with an encoder, or its missing spans with T5."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.edits import Edits
from clearhead.cli.models import Bits, Dtype, Model, Threads, load_model
from clearhead.cli.printing import echo, write_json

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel
    from clearhead.watching import Edit


def fill(
    model: Model,
    text: Annotated[
        list[str],
        typer.Argument(
            help="Texts with the tokenizer's mask token, such as `[MASK]` or `<mask>`, or with spans `<extra_id_0>`, "
            "`<extra_id_1>`, ... for T5."
        ),
    ],
    top: Annotated[int, typer.Option(help="Number of tokens to show per mask, or of texts for T5.")] = 5,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one line of JSON per text: text, masks (place, guesses) or, for T5, texts (text, spans, ids, "
            "logprob, score).",
        ),
    ] = False,
    edit: Edits = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Fill the masks of a text: the likeliest tokens for each, with their probabilities.

    For encoders such as BERT, which see both sides of a mask. Several masks in
    a text are filled independently. T5 and its like fill spans of any length,
    all of a text together: the best texts, each with its log-probability.
    """
    from clearhead.cli.edits import check_forms, parsed

    check_forms(edit)
    loaded = load_model(model, dtype, threads, bits=bits)
    changes = parsed(loaded, edit)
    show = _spans if loaded.tokenizer.sentinels and "masked tokens" not in loaded.abilities else _masks
    for number, each in enumerate(text):
        if number and not as_json:
            echo("")
        show(loaded, each, top, changes, as_json)


def _masks(model: LanguageModel, text: str, top: int, edits: list[Edit], as_json: bool) -> None:
    from clearhead.encoding import fill

    masks = fill(model, text, top=top, edits=edits)
    if as_json:
        write_json({"text": text, "masks": [asdict(mask) for mask in masks]})
        return
    echo(text)
    for count, mask in enumerate(masks, start=1):
        if len(masks) > 1:
            echo(f"mask {count}, place {mask.place}")
        for guess in mask.guesses:
            echo(f"{guess.probability:8.4f}  {guess.token.strip() or repr(guess.token)}")


def _spans(model: LanguageModel, text: str, top: int, edits: list[Edit], as_json: bool) -> None:
    from clearhead.generation import fill_spans
    from clearhead.generation.spans import put_in

    texts = fill_spans(model, text, top=top, edits=edits)
    if as_json:
        write_json({"text": text, "texts": [asdict(each) for each in texts]})
        return
    echo(text)
    for each in texts:
        echo(f"{each.logprob:9.3f}  {put_in(text, [f'[{span}]' for span in each.spans])}")
