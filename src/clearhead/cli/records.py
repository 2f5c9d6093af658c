"""The record that a verb shows: of a model's pass over a text, or saved before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.utf8 import given_text
from clearhead.errors import OptionError

if TYPE_CHECKING:
    from clearhead.watching import TextRecord

ENDING = ".safetensors"  # of a saved record

ModelOrRecord = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run folder, a released model's folder, or its name on the hub: `gpt2`, `OWNER/NAME@REV`; or a record "
        "that `look --out` saved, a `.safetensors` file.",
    ),
]
LookedAt = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="The text to look at, or `-` for standard input. A record has its own."),
]
Spill = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="For a text whose record does not fit in memory: a folder to hold it meanwhile. Nothing is left there.",
    ),
]


def record_or_text(model: str, verb: str, text: str | None, spill: Path | None) -> TextRecord | str:
    """The record in the file ``model``, or else the text, from standard input if it is ``-``.

    Raises OptionError if a text is missing, or if a text or ``spill`` is given with a record; FolderError if the file
    is damaged or not a record.
    """
    from clearhead.watching import read_record

    if not model.endswith(ENDING):
        if text is None:
            raise OptionError(f"{verb}: the text is missing; give it after the model, or - for standard input")
        return given_text(text)
    if text is not None:
        raise OptionError(f"{model}: a record has its own text; leave the text out")
    if spill is not None:
        raise OptionError("--spill: a saved record is read into memory; give the model and the text")
    return read_record(Path(model)).only()
