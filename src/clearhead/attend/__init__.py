"""The door: the one call that all attention goes through."""

from clearhead.attend.backends import ORDER
from clearhead.attend.door import attend, backend_for, explain
from clearhead.attend.mask import FULL, Mask, band, causal, documents, knockout, left_padding, padding, window
from clearhead.attend.request import Request, wide
from clearhead.attend.score import Score
from clearhead.attend.survey import survey

__all__ = [
    "FULL",
    "ORDER",
    "Mask",
    "Request",
    "Score",
    "attend",
    "backend_for",
    "band",
    "causal",
    "documents",
    "explain",
    "knockout",
    "left_padding",
    "padding",
    "survey",
    "wide",
    "window",
]
