"""Watching a model: records of its attention, maps computed from them, and edits of what it does."""

from clearhead.watching.edits import Ablate, Edit, Knockout, Scale
from clearhead.watching.map import AttentionMap, Top
from clearhead.watching.observation import Observation
from clearhead.watching.record import Record, watch

__all__ = ["Ablate", "AttentionMap", "Edit", "Knockout", "Observation", "Record", "Scale", "Top", "watch"]
