"""The logit lens in a file."""

from __future__ import annotations

from pathlib import Path

from clearhead.analysis import Lens
from clearhead.drawing import lens_page, lens_table
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.errors import OptionError
from clearhead.files import replacing
from clearhead.language import speaking

LENS_ENDINGS = (*PLOTTED, ".html", ".json")
DPI = 150

# Most cells in a page: larger tables are slow to open.
CELLS = 50_000


def draw_lens(found: Lens, path: str | Path, *, language: str | None = None) -> None:
    """Writes the lens to ``path``: .png and .svg are pictures (extra ``plot``), .html is a page, .json has the numbers.

    language: en or zh; None for the one chosen by CLEARHEAD_LANGUAGE or the locale, if any: see clearhead.language

    The file is written whole or not at all. Raises OptionError for an unknown file extension or language, or a page of
    more than CELLS layers x places, FolderError if the file cannot be written, MissingExtraError if matplotlib is
    missing.
    """
    path = Path(path)
    check_lens_path(path)
    with speaking(language):
        content = _content(found, path)
    with replacing(path) as file:
        file.write(content)


def check_lens_path(path: Path) -> None:
    """Raises what ``draw_lens`` would raise for this path, before any work is done."""
    check_ending(path, LENS_ENDINGS)


def _content(found: Lens, path: Path) -> bytes:
    ending = path.suffix.lower()
    if ending == ".json":
        return lens_table.encoded(found)
    if ending == ".html":
        cells = found.rank_RT.numel()
        if cells > CELLS:
            raise OptionError(
                f"{path}: {cells:,} cells, {len(found.sites)} readings of {len(found.tokenized.tokens):,} tokens; a "
                f"page takes at most {CELLS:,}; give a shorter text, or write .json"
            )
        return lens_page.encoded(found)
    from clearhead.drawing import fonts, lens_figure, saving

    if ending == ".svg":
        return saving.svg(lens_figure.figure(found, set()), DPI, lens_table.heading(found))
    return saving.png(lens_figure.figure(found, fonts.lacking(lens_figure.texts(found))), DPI)
