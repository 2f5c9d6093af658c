"""The steps of one head in the terminal, or in a file."""

from __future__ import annotations

from pathlib import Path

from clearhead.analysis import Steps
from clearhead.drawing import steps_export, steps_page
from clearhead.drawing.endings import check_ending
from clearhead.drawing.focus import query_row
from clearhead.drawing.steps_table import StepsTable
from clearhead.files import replacing
from clearhead.language import current, speaking

STEPS_ENDINGS = (".html", ".json")


def draw_steps(steps: Steps, path: str | Path, *, query: int | str | None = None, language: str | None = None) -> None:
    """Writes every number of the steps to ``path``: .html is a self-contained page, .json the numbers.

    query: the token to begin with: a place (negative: from the end), a word of the text, or None for the last word
    language: en or zh; None for the one chosen by CLEARHEAD_LANGUAGE or the locale, if any: see clearhead.language

    The file is written whole or not at all. Raises OptionError for an unknown file extension, query or language,
    FolderError if the file cannot be written.
    """
    path = Path(path)
    check_steps_path(path)
    place = query_row(steps.record, query)
    json = path.suffix.lower() == ".json"
    with speaking(language):
        content = steps_export.encoded(steps, place) if json else steps_page.encoded(steps, place)
    with replacing(path) as file:
        file.write(content)


def table_of_steps(steps: Steps, query: int | str | None = None, *, language: str | None = None) -> StepsTable:
    """A rich renderable of one query's row through every step; ``query`` and ``language`` as in ``draw_steps``."""
    with speaking(language):
        return StepsTable(steps, query_row(steps.record, query), current())


def check_steps_path(path: Path) -> None:
    """Raises what ``draw_steps`` would raise for this path, before any work is done."""
    check_ending(path, STEPS_ENDINGS)
