"""Pictures of records and gradients: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw, draw_attribution
from clearhead.drawing.focus import Focus, query_place
from clearhead.drawing.gradient import Table as AttributionTable
from clearhead.drawing.terminal import answer_reading, reading

__all__ = [
    "ENDINGS",
    "AttributionTable",
    "Focus",
    "answer_reading",
    "draw",
    "draw_attribution",
    "query_place",
    "reading",
]
