"""Pictures of records: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw
from clearhead.drawing.focus import Focus
from clearhead.drawing.terminal import answer_reading, reading

__all__ = ["ENDINGS", "Focus", "answer_reading", "draw", "reading"]
