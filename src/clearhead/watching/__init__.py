"""Watching a model: records of its attention, maps computed from them, and edits to its passes."""

from clearhead.watching.atlas import COLUMNS, Atlas, AtlasRow
from clearhead.watching.cells import Edge
from clearhead.watching.edits import Ablate, Edit, Knockout, Scale
from clearhead.watching.map import AttentionMap, Top
from clearhead.watching.record import Record, watch
from clearhead.watching.text_record import BY_GRADIENT, TextRecord, Words

__all__ = [
    "BY_GRADIENT",
    "COLUMNS",
    "Ablate",
    "Atlas",
    "AtlasRow",
    "AttentionMap",
    "Edge",
    "Edit",
    "Knockout",
    "Record",
    "Scale",
    "TextRecord",
    "Top",
    "Words",
    "watch",
]
