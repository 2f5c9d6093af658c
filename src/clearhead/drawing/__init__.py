"""Pictures of records: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw
from clearhead.drawing.draw_next import draw_next
from clearhead.drawing.draw_steps import draw_steps, steps_reading
from clearhead.drawing.focus import Focus
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.terminal import answer_reading, reading
from clearhead.drawing.word_map import MAP_ENDINGS, check_map, draw_words

__all__ = [
    "ENDINGS",
    "MAP_ENDINGS",
    "Focus",
    "NextTable",
    "answer_reading",
    "check_map",
    "draw",
    "draw_next",
    "draw_steps",
    "draw_words",
    "reading",
    "steps_reading",
]
