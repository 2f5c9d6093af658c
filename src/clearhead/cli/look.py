"""``clearhead look``: what the heads of a model attend to in a text, or what a prediction depends on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.edits import Edits, check_forms, parsed
from clearhead.cli.models import Bits, Dtype, From, Threads, To, Translation, load_model
from clearhead.cli.printing import Screen, message
from clearhead.cli.records import ENDING, LookedAt, ModelOrRecord, Spill, record_or_text

if TYPE_CHECKING:
    from clearhead.language_model import LanguageModel
    from clearhead.watching import Edit, TextRecord


class By(StrEnum):
    """What ``look`` shows."""

    attention = "attention"
    gradient = "gradient"
    integrated_gradient = "integrated-gradient"


def look(
    model: ModelOrRecord,
    text: LookedAt = None,
    pair: Annotated[
        str | None, typer.Option(help="A second text, which an encoder reads together with the first.")
    ] = None,
    target: Translation = None,
    from_: From = None,
    to: To = None,
    alignment: Annotated[
        bool,
        typer.Option(
            "--alignment",
            help="For translators: show which tokens of the text each token of the translation came from.",
        ),
    ] = False,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            "-q",
            help="The token whose attention is shown: its place (from 0; -1 is the last) or a word of the "
            "text. By default the last word; with a gradient, the last token.",
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="Show only this layer, counted from 0; with `--out`, enlarge it.")
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Show only this head, counted from 0; with `--out`, enlarge it.")
    ] = None,
    by: Annotated[
        By,
        typer.Option(
            help="What to show: `attention`, what each head attends to; or, for models of any kind, what the "
            "prediction of the next token depends on, by its `gradient` or by its `integrated-gradient`, whose numbers "
            "add up."
        ),
    ] = By.attention,
    baseline: Annotated[
        str,
        typer.Option(
            help="For `integrated-gradient`, what every token is compared to: the `mean` of all embeddings, `zero`, or "
            "a token."
        ),
    ] = "mean",
    edit: Edits = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a picture of all heads, one of them enlarged, instead of printing a table: a `.png`, "
            "`.svg`, `.html` or `.json` file; or the record, a `.safetensors` file, which `look` and `atlas` open "
            "without the model.",
        ),
    ] = None,
    spill: Spill = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Show what each head attends to at one token of a text, as a table or as a picture of all heads.

    The default query is the last word. A picture enlarges the head that attends
    most to the text beyond the query's neighbours, unless --layer and --head
    pick one.
    """
    from clearhead.drawing import ALIGNMENT_ENDINGS
    from clearhead.drawing.draw import check_attribution
    from clearhead.drawing.endings import check_ending
    from clearhead.errors import OptionError

    if by is not By.attention and any(option is not None for option in (pair, layer, head)):
        raise OptionError(f"--by {by.value} explains the whole model on one text; leave out --pair, --layer and --head")
    check_forms(edit)
    if edit and by is not By.attention:
        raise OptionError(f"--edit changes the pass whose attention is shown; drop it, or --by {by.value}")
    if baseline != "mean" and by is not By.integrated_gradient:
        raise OptionError(f"--baseline {baseline} belongs to --by integrated-gradient")
    if spill is not None and by is not By.attention:
        raise OptionError(f"--spill keeps a record of attention; drop it, or --by {by.value}")
    if alignment and (by is not By.attention or any(option is not None for option in (pair, query, head))):
        raise OptionError("--alignment shows the mean of a layer's heads; drop --by, --pair, --query and --head")
    if out is not None and alignment:
        check_ending(out, ALIGNMENT_ENDINGS)
    elif out is not None:
        (_check if by is By.attention else check_attribution)(out)
    source = record_or_text(model, "look", text, spill)
    if not isinstance(source, str):
        if by is not By.attention or edit or any(option is not None for option in (pair, target, from_, to)):
            raise OptionError(
                f"{model}: --pair, --target, --from, --to, --edit and --by {By.gradient.value} need a model and a "
                "text, not a record"
            )
        if alignment:
            align(source, layer=layer, out=out)
        else:
            show(source, query=query, layer=layer, head=head, out=out)
    elif alignment:
        from clearhead.analysis import observe

        loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=from_, target=to)
        record = observe(loaded, source, target=target, edits=parsed(loaded, edit), spill=spill)
        align(record, layer=layer, out=out)
    elif by is By.attention:
        loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=from_, target=to)
        look_at(
            loaded,
            source,
            pair=pair,
            target=target,
            edits=parsed(loaded, edit),
            spill=spill,
            query=query,
            layer=layer,
            head=head,
            out=out,
        )
    else:
        loaded = load_model(model, dtype, threads, bits=bits).with_languages(source=from_, target=to)
        show_gradient(loaded, source, target=target, query=query, by=by, baseline=baseline, out=out)


def align(record: TextRecord, *, layer: int | None, out: Path | None) -> None:
    """``look --alignment``: prints the table of a translator's record, or saves the picture to ``out``."""
    from clearhead.analysis import alignment
    from clearhead.drawing import AlignmentTable, draw_alignment

    found = alignment(record, layer)
    if out is None:
        Screen().print(AlignmentTable(found))
        return
    draw_alignment(found, out)
    message(f"{out}: the alignment by layer {found.layer}")


def _check(out: Path) -> None:
    """Raises OptionError for a file that can be neither a picture nor a record."""
    from clearhead.drawing.draw import ENDINGS
    from clearhead.drawing.endings import check_ending

    check_ending(out, (*ENDINGS, ENDING))


def show_gradient(
    model: LanguageModel,
    text: str,
    *,
    target: str | None,
    query: str | None,
    by: By,
    baseline: str,
    out: Path | None,
) -> None:
    """``look --by gradient`` and its like, given a loaded model: prints the table, or saves the picture to ``out``."""
    from clearhead.analysis import attribution
    from clearhead.analysis.given import read
    from clearhead.drawing import AttributionTable, draw_attribution, prediction_place

    tokenized, translated = read(model, text, "look", target=target).shown()
    place = prediction_place(tokenized, query)
    found = attribution(model, text, target=translated, query=place, by=by.value, baseline=baseline)
    if out is None:
        Screen().print(AttributionTable(found))
        return
    draw_attribution(found, out)
    message(f"{out}: what the prediction at place {found.place} depends on")


def look_at(
    model: LanguageModel,
    text: str,
    *,
    pair: str | None = None,
    target: str | None = None,
    edits: Sequence[Edit] = (),
    spill: Path | None = None,
    query: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    out: Path | None = None,
) -> None:
    """The verb, given a loaded model."""
    from clearhead.analysis import observe

    saving = out is not None and out.suffix.lower() == ENDING
    keep = "values" if saving else ()
    record = observe(model, text, pair=pair, target=target, edits=edits, keep=keep, spill=spill)
    show(record, query=query, layer=layer, head=head, out=out)


def show(
    record: TextRecord,
    *,
    query: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    out: Path | None = None,
) -> None:
    """Prints the table of a record, or saves the picture or the record to ``out`` and says so."""
    from rich.progress import Progress

    from clearhead.drawing import draw, table_of_attention
    from clearhead.drawing.focus import head_name
    from clearhead.errors import OptionError

    if out is not None and out.suffix.lower() == ENDING:
        if (query, layer, head) != (None, None, None):
            raise OptionError(f"{out}: a record has all heads and queries; drop --query, --layer and --head")
        record.save(out)
        message(f"{out}: the record, {sum(1 for _ in record)} heads over {len(record.tokens)} tokens")
        return
    if out is None:
        table = table_of_attention(record, query, layer=layer, head=head)
        Screen().print(table)
        return
    messages = Screen(stderr=True, soft_wrap=True)
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("heads", total=None)
        focus = draw(
            record,
            out,
            layer=layer,
            head=head,
            query=query,
            progress=lambda done, heads: progress.update(task, completed=done, total=heads),
        )
    place = focus.row + record.first_place(focus.site)
    message(f"{out}: all heads, and {head_name(record, focus.site, focus.head)} at place {place}")
