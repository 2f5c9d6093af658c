"""The experiments, in the order of the note."""

from __future__ import annotations

from typing import Any

from clearhead.lab.note import activation, context, heads, mask, next_word, qkv, senses, vectors
from clearhead.lab.note.experiment import Experiment

EXPERIMENTS: dict[str, Experiment[Any]] = {
    each.EXPERIMENT.name: each.EXPERIMENT
    for each in (context, vectors, qkv, activation, senses, mask, heads, next_word)
}
