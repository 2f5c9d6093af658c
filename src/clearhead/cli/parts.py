"""``clearhead parts``: what each head, feed-forward and bias adds to a logit."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.models import Dtype, From, Model, Picture, Threads, To, Translation, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.utf8 import given_text


def parts(
    model: Model,
    text: Annotated[str, typer.Argument(help="The text, or `-` for standard input.")],
    token: Annotated[
        str | None,
        typer.Option(
            help="The token whose logit is split, such as ` she`; by default the text's next token, or the likeliest "
            "one after its end."
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Split the difference: the logit of `--token` less that of this token.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            help="Where the prediction is made: a place (from 0; -1 is the last) or a word of the text. The last token "
            "by default.",
        ),
    ] = None,
    target: Translation = None,
    from_: From = None,
    to: To = None,
    out: Picture = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Split a logit into what each part adds: heads, feed-forwards, embedding, biases.

    The shares sum to the logit. Each is what a part adds directly, not through
    later parts, with the scale of every norm on the way held (direct logit
    attribution).
    """
    from clearhead import analysis
    from clearhead.analysis.given import read
    from clearhead.drawing import PartsTable, draw_parts, prediction_place
    from clearhead.drawing.draw_parts import check_parts_path

    if out is not None:
        check_parts_path(out)
    text = given_text(text)
    loaded = load_model(model, dtype, threads).with_languages(source=from_, target=to)
    tokenized, translated = read(loaded, text, "parts", target=target).shown()
    place = prediction_place(tokenized, query)
    found = analysis.logit_parts(loaded, text, target=translated, query=place, token=token, against=against)
    if out is None:
        Screen().print(PartsTable(found))
        return
    draw_parts(found, out)
    message(f"{out}: {len(found.shares)} shares in the logit of {found.token}")
