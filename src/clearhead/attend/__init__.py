"""The door through which all attention passes, and what can be seen at it."""

from clearhead.attend.backends import ORDER
from clearhead.attend.door import attend, choose, explain
from clearhead.attend.edits import Ablate, Edit, Knockout, Scale
from clearhead.attend.map import AttentionMap, Top
from clearhead.attend.mask import (
    FULL,
    Mask,
    band,
    causal,
    documents,
    knockout,
    left_padding,
    padding,
    prefix,
    window,
)
from clearhead.attend.record import Record, watch
from clearhead.attend.request import Request, Site, wide
from clearhead.attend.score import Score

__all__ = [
    "FULL",
    "ORDER",
    "Ablate",
    "AttentionMap",
    "Edit",
    "Knockout",
    "Mask",
    "Record",
    "Request",
    "Scale",
    "Score",
    "Site",
    "Top",
    "attend",
    "band",
    "causal",
    "choose",
    "documents",
    "explain",
    "knockout",
    "left_padding",
    "padding",
    "prefix",
    "watch",
    "wide",
    "window",
]
