"""Pictures of records and gradients: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw, draw_attribution
from clearhead.drawing.draw_next import draw_next
from clearhead.drawing.draw_steps import draw_steps, steps_reading
from clearhead.drawing.focus import Focus, query_place
from clearhead.drawing.gradient import Table as AttributionTable
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.terminal import answer_reading, reading

__all__ = [
    "ENDINGS",
    "AttributionTable",
    "Focus",
    "NextTable",
    "answer_reading",
    "draw",
    "draw_attribution",
    "draw_next",
    "draw_steps",
    "query_place",
    "reading",
    "steps_reading",
]
