"""Values in notebooks: the pages and tables that the verbs show, as HTML that requests nothing."""

from __future__ import annotations

import html
import io
import math

from rich.console import Console, RenderableType

from clearhead.analysis import (
    Alignment,
    Attribution,
    Effect,
    FoundHeads,
    History,
    Lens,
    LogitParts,
    NextWords,
    Sweep,
)
from clearhead.drawing import lens_page, page
from clearhead.drawing.draw_alignment import AlignmentTable
from clearhead.drawing.focus import focus_on
from clearhead.drawing.gradient import AttributionTable
from clearhead.drawing.history_table import HistoryTable
from clearhead.drawing.legible import legible
from clearhead.drawing.lens_table import LensTable
from clearhead.drawing.map_view import picture
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.parts_table import PartsTable
from clearhead.drawing.sweep_table import EffectTable, SweepTable
from clearhead.drawing.terminal import table_of_attention
from clearhead.notebook import html_of
from clearhead.watching import AttentionMap, Record, TextRecord

# The notebook's file holds a page for each time a value is shown. So at most this many weights (heads x queries x keys;
# 1.6 MB in a page), or cells of a lens (1 MB); beyond that, a table.
WEIGHTS, CELLS = 2**18, 4_000

# Columns of a table, and pixels of a page.
WIDTH, TALL = 110, 720

# The font of a terminal, and its own colours, whatever those of the notebook are.
PRE = (
    '<pre style="white-space: pre; overflow-x: auto; line-height: 1.25; padding: 8px; background: #fff; color: #000; '
    "font-family: Menlo, Consolas, 'DejaVu Sans Mono', monospace\">{code}</pre>"
)


def table(found: RenderableType) -> str:
    """What a terminal shows, with its colours. Text is escaped."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False, color_system="truecolor")
    console.print(found, markup=False, highlight=False, emoji=False)
    return console.export_html(code_format=PRE, inline_styles=True)


def framed(whole: str, title: str) -> str:
    """A page in a frame of its own, which reaches neither the notebook nor the network."""
    return (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(whole)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {TALL}px; border: 1px solid #ccc"></iframe>'
    )


@html_of.register
def _(record: TextRecord) -> str:
    if not record.seen():
        return f"<pre>{html.escape(repr(record))}</pre>"
    weights = sum(record.heads(site) * math.prod(record.map(site, 0).shape) for site in record.seen())
    if weights > WEIGHTS:
        note = "<p>Too long for a page in a notebook: <code>draw(record, 'x.html')</code> has all heads.</p>"
        return note + table(table_of_attention(record, None))
    parts = page.lines(
        record,
        focus_on(record, layer=None, head=None, query=None),
        model=record.model,
        progress=lambda done, heads: None,
    )
    return framed(b"".join(parts).decode(), "attention")


@html_of.register
def _(record: Record) -> str:
    texts = record.each()
    if not texts:
        return f"<pre>{html.escape(repr(record))}</pre>"
    if len(texts) == 1:
        return str(html_of(texts[0]))
    named = "".join(
        f"<li value={number}>{html.escape(legible(each.text or ' '.join(each.tokens)))}</li>"
        for number, each in zip(record.texts, texts, strict=True)
    )
    return f"<p>{html.escape(repr(record))}; <code>record[{record.texts[0]}]</code> is one text:</p><ol>{named}</ol>"


@html_of.register
def _(found: AttentionMap) -> str:
    return picture(found)


@html_of.register
def _(found: Lens) -> str:
    if found.rank_RT.numel() > CELLS:
        return table(LensTable(found))
    return framed(lens_page.encoded(found).decode(), "lens")


@html_of.register
def _(found: FoundHeads) -> str:
    return f"<pre>{html.escape(legible(found.model or ''))}\n{html.escape(str(found))}</pre>"


@html_of.register
def _(found: Sweep) -> str:
    return table(SweepTable(found))


@html_of.register
def _(found: Effect) -> str:
    return table(EffectTable(found))


@html_of.register
def _(found: LogitParts) -> str:
    return table(PartsTable(found))


@html_of.register
def _(found: NextWords) -> str:
    return table(NextTable(found))


@html_of.register
def _(found: Attribution) -> str:
    return table(AttributionTable(found))


@html_of.register
def _(found: Alignment) -> str:
    return table(AlignmentTable(found))


@html_of.register
def _(found: History) -> str:
    return table(HistoryTable(found))
