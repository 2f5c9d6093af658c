"""An atlas as a file: a picture of grids, a page with a table to sort, or the numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clearhead.drawing import atlas_page
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.files import replacing
from clearhead.language import speaking
from clearhead.watching import Atlas

ATLAS_ENDINGS: Sequence[str] = (*PLOTTED, ".html", ".json")


def draw_atlas(atlas: Atlas, path: str | Path, *, language: str | None = None) -> None:
    """Draws an atlas to ``path``: .png and .svg have a grid of layers and heads for each measure (extra ``plot``),
    .html is a self-contained page with the grids and a table to sort, .json has the numbers.

    The file is written whole or not at all. Raises OptionError for another ending, FolderError if the file cannot be
    written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_atlas(path)
    ending = path.suffix.lower()
    if ending == ".json":
        content = (json.dumps(atlas.to_dict(), ensure_ascii=False, indent=1) + "\n").encode()
    elif ending == ".html":
        with speaking(language):
            content = atlas_page.encoded(atlas)
    else:
        from clearhead.drawing import atlas_figure

        with speaking(language):
            content = atlas_figure.encoded(atlas, path)
    with replacing(path) as file:
        file.write(content)


def check_atlas(path: Path) -> None:
    """Raises what ``draw_atlas`` would raise for this path, before any work is done."""
    check_ending(path, ATLAS_ENDINGS)
