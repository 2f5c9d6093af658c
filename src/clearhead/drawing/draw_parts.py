"""What each part adds to a logit, in a file."""

from __future__ import annotations

from pathlib import Path

from clearhead.analysis import LogitParts
from clearhead.drawing import parts_table
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.files import replacing
from clearhead.language import speaking

PARTS_ENDINGS = (*PLOTTED, ".json")
DPI = 150


def draw_parts(found: LogitParts, path: str | Path, *, language: str | None = None) -> None:
    """Writes the shares to ``path``: .png and .svg are pictures (extra ``plot``), .json has the numbers.

    The file is written whole or not at all. Raises OptionError for an unknown file extension, FolderError if the file
    cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_parts_path(path)
    with speaking(language):
        content = _content(found, path.suffix.lower())
    with replacing(path) as file:
        file.write(content)


def check_parts_path(path: Path) -> None:
    """Raises what ``draw_parts`` would raise for this path, before any work is done."""
    check_ending(path, PARTS_ENDINGS)


def _content(found: LogitParts, ending: str) -> bytes:
    if ending == ".json":
        return parts_table.encoded(found)
    from clearhead.drawing import fonts, parts_figure, saving

    title = parts_table.heading(found)
    if ending == ".svg":
        return saving.svg(parts_figure.figure(found, set()), DPI, title)
    return saving.png(parts_figure.figure(found, fonts.lacking([title])), DPI)
