"""``clearhead lens``: what each layer would predict, at every place of a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Dtype, From, Model, Threads, To, Translation, load_model
from clearhead.cli.printing import Screen, columns, echo, message
from clearhead.cli.utf8 import given_text
from clearhead.language import spoken

if TYPE_CHECKING:
    from clearhead.analysis import TunedLens


def lens(
    model: Model,
    text: Annotated[str | None, typer.Argument(help="The text, or `-` for standard input.")] = None,
    target: Translation = None,
    from_: From = None,
    to: To = None,
    top: Annotated[int, typer.Option(help="Tokens kept for each layer and place.")] = 5,
    tuned: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read through a tuned lens, which `--train` wrote.")
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Instead of reading a text, train a tuned lens on this file and write it to `--out`, a "
            "`.safetensors` file. Can be given several times.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="For `--train`: number of steps.")] = 250,
    batch: Annotated[int, typer.Option(help="For `--train`: windows of up to 256 tokens in a step.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save a `.png` or `.svg` picture, a `.html` page or a `.json` file, instead of printing a table.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Show the likeliest token at each layer and place (logit lens).

    The residual stream before the first layer and after each goes through the
    final norm and the output layer, as if the layers after it did nothing. A
    tuned lens first maps each layer's stream to what the last layer makes of it.
    """
    from clearhead import analysis
    from clearhead.drawing import LensTable, draw_lens
    from clearhead.drawing.draw_lens import check_lens_path
    from clearhead.drawing.endings import check_ending
    from clearhead.errors import OptionError

    if train:
        if any(each is not None for each in (text, tuned, target, from_, to)) or out is None:
            raise OptionError(
                "--train writes a tuned lens to --out FILE; it takes no text, --tuned, --target, --from or --to"
            )
        check_ending(out, (".safetensors",))
    elif text is None:
        raise OptionError("lens: give a text to read, or --train FILE to train a tuned lens")
    elif out is not None:
        check_lens_path(out)
    given = "" if text is None else given_text(text)
    loaded = load_model(model, dtype, threads).with_languages(source=from_, target=to)
    if train and out is not None:
        from rich.progress import Progress

        screen = Screen(stderr=True)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bars:
            task = bars.add_task("steps", total=steps)
            trained = analysis.tune_lens(
                loaded, train, steps=steps, batch=batch, progress=lambda done, _, kl: bars.update(task, completed=done)
            )
        trained.save(out)
        _tell(trained, out)
        return
    reader = None if tuned is None else analysis.read_lens(tuned, loaded)
    found = analysis.lens(loaded, given, target=target, top=top, tuned=reader)
    if out is None:
        Screen().print(LensTable(found))
        return
    draw_lens(found, out)
    message(f"{out}: the likeliest tokens of {len(found.sites)} readings at {len(found.tokenized.tokens)} places")


def _tell(trained: TunedLens, out: Path) -> None:
    """Prints how far each layer is from the model's own prediction, on held-out text, through both lenses."""
    echo("KL to the model's own prediction on held-out text, in nats")
    table = [("", "logit lens", "tuned lens")]
    for site, before, after in zip(trained.sites, trained.before_S.tolist(), trained.after_S.tolist(), strict=True):
        name = spoken("embedding" if site.kind == "embedding" else f"layer {site.layer}")
        table.append((name, f"{before:.4f}", f"{after:.4f}"))
    columns(table)
    message(f"{out}: a tuned lens, trained on {trained.tokens:,} tokens")
