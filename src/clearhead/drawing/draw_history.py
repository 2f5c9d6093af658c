"""How the heads of a run form, in a file."""

from __future__ import annotations

from pathlib import Path

from clearhead.analysis import History
from clearhead.drawing import history_page, history_table
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.errors import OptionError
from clearhead.files import replacing
from clearhead.language import speaking

HISTORY_ENDINGS = (*PLOTTED, ".html", ".json")
DPI = 150

# Most numbers in a page: larger pages are slow to open.
NUMBERS = 1_000_000


def draw_history(found: History, path: str | Path, *, language: str | None = None) -> None:
    """Writes a history to ``path``: .png and .svg have a panel for each measure with a line for each head over the
    steps, and name the heads that change most (extra ``plot``); .html is a page with one measure at a time; .json has
    the numbers.

    language: en or zh; None for the one that was chosen (``language.py``)

    The file is written whole or not at all. Raises OptionError for another ending, or a page of more than NUMBERS
    heads x measures x models, FolderError if the file cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check_history_path(path)
    with speaking(language):
        content = _content(found, path)
    with replacing(path) as file:
        file.write(content)


def check_history_path(path: Path) -> None:
    """Raises what ``draw_history`` would raise for this path, before any work is done."""
    check_ending(path, HISTORY_ENDINGS)


def _content(found: History, path: Path) -> bytes:
    ending = path.suffix.lower()
    if ending == ".json":
        return history_table.encoded(found)
    if ending == ".html":
        heads, measures = len(found.atlases[0]), len(found.measures)
        if heads * measures * len(found) > NUMBERS:
            raise OptionError(
                f"{path}: {heads:,} heads x {measures} measures x {len(found)} models; a page takes at most "
                f"{NUMBERS:,} numbers; choose measures, or write .json"
            )
        return history_page.encoded(found)
    from clearhead.drawing import fonts, history_figure, saving

    title = history_table.heading(found)
    if ending == ".svg":
        return saving.svg(history_figure.figure(found, set()), DPI, title)
    return saving.png(history_figure.figure(found, fonts.lacking([title])), DPI)
