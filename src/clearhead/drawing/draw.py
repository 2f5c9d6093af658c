"""Pictures in files; the file extension decides the format."""

from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path

from clearhead.analysis import Attribution
from clearhead.drawing import export, gradient, page
from clearhead.drawing.embed import OnHead
from clearhead.drawing.endings import PLOTTED, check_ending
from clearhead.drawing.focus import Focus, focus_on
from clearhead.drawing.legible import code_point
from clearhead.errors import OptionError, many, shown
from clearhead.files import replacing
from clearhead.language import speaking
from clearhead.watching import Record, TextRecord

log = logging.getLogger(__name__)

ENDINGS = (*PLOTTED, ".html", ".json")

# How many characters without a font to list in the log.
NAMED = 20


def draw(
    record: Record | TextRecord,
    path: str | Path,
    *,
    layer: int | None = None,
    head: int | None = None,
    query: int | str | None = None,
    model: str | None = None,
    progress: OnHead | None = None,
    language: str | None = None,
) -> Focus:
    """Draws all heads, with one enlarged, to ``path``; returns the enlarged head and its query row.

    path: .png and .svg are pictures (extra ``plot``), .html is a self-contained interactive page, .json has the numbers
        (see export.py)
    layer, head: the head to enlarge; if several match, the one that attends most to the text beyond the query's
        neighbours (focus.focus_on)
    query: a place (negative: from the end) or a word of the text; None for the last word
    model: name for the heading; None for the record's own, as ``clearhead.observe`` sets it
    progress: called with (heads done, heads)
    language: en or zh; None for the one chosen by CLEARHEAD_LANGUAGE or the locale, if any: see clearhead.language

    The file is written whole or not at all. A .png shows the code point of a character that no installed font has; the
    picture says so, and it is logged. Raises OptionError for an unknown file extension, head or query, FolderError if
    the file cannot be written, MissingExtraError if matplotlib is missing.
    """
    path = Path(path)
    check(path)
    if not isinstance(record, Record | TextRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(
            f"draw: {shown(record)} was given; it draws a record, with one head enlarged that layer and head can name; "
            "an atlas, a lens, a sweep and others have a draw_atlas, draw_lens, draw_sweep of their own"
        )
    record = record.only()
    model = model or record.model
    focus = focus_on(record, layer=layer, head=head, query=query)
    hears = progress or _ignore
    ending = path.suffix.lower()
    with speaking(language):
        if ending == ".json":
            parts = export.lines(record, focus, model=model, progress=hears)
        elif ending == ".html":
            parts = page.lines(record, focus, model=model, progress=hears)
        else:
            parts = iter([_plot(record, focus, path, model, hears)])
        with replacing(path) as file:
            file.writelines(parts)
    return focus


def draw_attribution(found: Attribution, path: str | Path, *, language: str | None = None) -> None:
    """Draws what a prediction depends on, as .png, .html or .json. The file is written whole or not at all.

    Raises OptionError for an unknown file extension, FolderError if the file cannot be written, MissingExtraError if
    matplotlib is missing.
    """
    path = Path(path)
    check_attribution(path)
    with speaking(language):
        content = gradient.WRITERS[path.suffix.lower()](found)
    with replacing(path) as file:
        file.write(content)


def check_attribution(path: Path) -> None:
    """Raises what ``draw_attribution`` would raise for this path, before any work is done."""
    check_ending(path, gradient.WRITERS)


def _ignore(done: int, heads: int) -> None: ...


def check(path: Path) -> None:
    """Raises what ``draw`` would raise for this path, before any work is done."""
    check_ending(path, ENDINGS)


def _plot(record: TextRecord, focus: Focus, path: Path, model: str | None, progress: OnHead) -> bytes:
    from clearhead.drawing import figure, fonts, saving

    drawn = figure.captions(record, model)
    png = path.suffix.lower() == ".png"
    if png:
        lacking = fonts.lacking((drawn.title, drawn.subtitle, *chain(*drawn.labels.values())))
        note_lacking(path, sorted(lacking))
        drawn = drawn.without(lacking)
    made = figure.draw(record, focus, drawn, progress)
    return saving.png(made, figure.DPI) if png else saving.svg(made, figure.DPI, drawn.title)


def note_lacking(path: Path, lacking: list[str]) -> None:
    """Logs which characters are drawn as code points, if any."""
    if lacking:
        named = ", ".join(map(code_point, lacking[:NAMED]))
        others = f" and {len(lacking) - NAMED} others" if len(lacking) > NAMED else ""
        log.info(
            "%s: no font here has %s (%s%s), so code points are drawn; .svg and .html use the reader's own fonts",
            path,
            many(len(lacking), "character"),
            named,
            others,
        )
