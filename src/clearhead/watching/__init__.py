"""Watching a model: records of its attention, maps computed from them, and edits to its passes."""

from clearhead.watching.atlas import COLUMNS, Atlas, AtlasRow
from clearhead.watching.cells import Edge
from clearhead.watching.edits import Ablate, Direction, Edit, Freeze, Knockout, Patch, Scale, Steer
from clearhead.watching.map import AttentionMap, Top
from clearhead.watching.opening import edited, read_record, watch
from clearhead.watching.record import Record
from clearhead.watching.text_record import BY_GRADIENT, TextRecord
from clearhead.watching.tokenized import TokenizedText, tokenized_text

__all__ = [
    "BY_GRADIENT",
    "COLUMNS",
    "Ablate",
    "Atlas",
    "AtlasRow",
    "AttentionMap",
    "Direction",
    "Edge",
    "Edit",
    "Freeze",
    "Knockout",
    "Patch",
    "Record",
    "Scale",
    "Steer",
    "TextRecord",
    "TokenizedText",
    "Top",
    "edited",
    "read_record",
    "tokenized_text",
    "watch",
]
