"""Pictures of records: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw
from clearhead.drawing.draw_next import draw_next
from clearhead.drawing.draw_steps import draw_steps, steps_reading
from clearhead.drawing.focus import Focus
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.terminal import answer_reading, reading

__all__ = [
    "ENDINGS",
    "Focus",
    "NextTable",
    "answer_reading",
    "draw",
    "draw_next",
    "draw_steps",
    "reading",
    "steps_reading",
]
