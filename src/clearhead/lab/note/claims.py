"""The experiments, in the order of the note."""

from __future__ import annotations

from typing import Any

from clearhead.lab.note import mask, next_word, qkv
from clearhead.lab.note.experiment import Experiment

EXPERIMENTS: dict[str, Experiment[Any]] = {
    each.name: each for each in (qkv.EXPERIMENT, mask.EXPERIMENT, next_word.EXPERIMENT)
}
