"""Pictures of records: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw
from clearhead.drawing.focus import Focus
from clearhead.drawing.terminal import answer_reading, reading
from clearhead.drawing.word_map import MAP_ENDINGS, check_map, draw_words

__all__ = ["ENDINGS", "MAP_ENDINGS", "Focus", "answer_reading", "check_map", "draw", "draw_words", "reading"]
