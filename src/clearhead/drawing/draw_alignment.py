"""The alignment of a translation with its text: in the terminal, as .png or .svg, or every number as .json.

The .json file is one object, ``clearhead.alignment/1``, with the fields of ``Alignment`` (weights as a list of rows).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Alignment
from clearhead.drawing.endings import check_ending
from clearhead.drawing.legible import legible, shortened
from clearhead.drawing.terminal import bar
from clearhead.files import replacing
from clearhead.language import speaking, spoken

ALIGNMENT_ENDINGS = (".png", ".svg", ".json")
LABEL, BAR, SHOWN = 20, 6, 3  # terminal cells of a label and of a bar; tokens of the text shown for each written one


class AlignmentTable:
    """A rich renderable: a line for each written token, with the tokens of the text it came from."""

    def __init__(self, found: Alignment) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        written, read = ([shortened(legible(each), LABEL) for each in labels] for labels in (found.written, found.read))
        yield Text(f"{legible(found.text or '')} → {legible(found.translation or '')}", style="bold")
        wide, other = (max(map(cell_len, labels)) for labels in (written, read))
        fits = max(1, min(SHOWN, len(read), (options.max_width - wide - 2) // (other + BAR + 8)))
        for label, row_S in zip(written, found.weights_TS, strict=True):
            line = Text(label + " " * (wide - cell_len(label) + 2))
            weights, places = row_S.topk(fits)
            for weight, place in zip(weights.tolist(), places.tolist(), strict=True):
                line.append(read[place] + " " * (other - cell_len(read[place]) + 1))
                line.append(bar(weight, BAR), "cyan").append(f" {weight:.2f}  ")
            line.rstrip()
            yield line
        yield Text(spoken(f"what each token was predicted from: layer {found.layer}, the mean of its heads"), "dim")


def draw_alignment(found: Alignment, path: str | Path, *, language: str | None = None) -> None:
    """Draws the alignment: a row for each written token, a column for each token of the text.

    The file is .png or .svg (extra ``plot``) or .json, and is written whole or not at all. Raises OptionError for
    another ending, FolderError if it cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_ending(path, ALIGNMENT_ENDINGS)
    if path.suffix.lower() == ".json":
        values = {"format": "clearhead.alignment/1", **asdict(found), "weights_TS": found.weights_TS.tolist()}
        content = (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()
    else:
        from clearhead.drawing import alignment_figure

        with speaking(language):
            content = alignment_figure.drawn(found, path)
    with replacing(path) as file:
        file.write(content)
