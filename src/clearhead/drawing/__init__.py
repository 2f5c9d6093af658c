"""Pictures of records and gradients: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw, draw_attribution
from clearhead.drawing.draw_lens import draw_lens
from clearhead.drawing.draw_next import draw_next
from clearhead.drawing.draw_parts import draw_parts
from clearhead.drawing.draw_steps import draw_steps, steps_reading
from clearhead.drawing.focus import Focus, query_place
from clearhead.drawing.gradient import Table as AttributionTable
from clearhead.drawing.lens_table import LensTable
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.parts_table import PartsTable
from clearhead.drawing.terminal import answer_reading, reading
from clearhead.drawing.word_map import MAP_ENDINGS, check_map, draw_words

__all__ = [
    "ENDINGS",
    "MAP_ENDINGS",
    "AttributionTable",
    "Focus",
    "LensTable",
    "NextTable",
    "PartsTable",
    "answer_reading",
    "check_map",
    "draw",
    "draw_attribution",
    "draw_lens",
    "draw_next",
    "draw_parts",
    "draw_steps",
    "draw_words",
    "query_place",
    "reading",
    "steps_reading",
]
