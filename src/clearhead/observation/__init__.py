"""Looking: one watched pass over a text, what each head reads, and pictures of it."""

from clearhead.observation.draw import ENDINGS, draw
from clearhead.observation.focus import Focus
from clearhead.observation.observed import Observation, observe, observe_ids
from clearhead.observation.terminal import answer_reading, reading

__all__ = ["ENDINGS", "Focus", "Observation", "answer_reading", "draw", "observe", "observe_ids", "reading"]
