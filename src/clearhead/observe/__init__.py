"""Looking: one watched pass over a text, what each head reads, and pictures of it."""

from clearhead.observe.draw import ENDINGS, draw
from clearhead.observe.focus import Focus
from clearhead.observe.observation import Observation, observe
from clearhead.observe.terminal import reading

__all__ = ["ENDINGS", "Focus", "Observation", "draw", "observe", "reading"]
