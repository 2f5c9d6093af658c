"""Watching a model: records of its attention, maps computed from them, and edits of what it does."""

from clearhead.watching.edits import Ablate, Edit, Knockout, Scale
from clearhead.watching.map import AttentionMap, Top
from clearhead.watching.record import Record, watch
from clearhead.watching.text_record import NO_ATTENTION, TextRecord, Words

__all__ = [
    "NO_ATTENTION",
    "Ablate",
    "AttentionMap",
    "Edit",
    "Knockout",
    "Record",
    "Scale",
    "TextRecord",
    "Top",
    "Words",
    "watch",
]
