"""Senses of words: how a word's vector differs between its uses, and how well it tells them apart."""

from clearhead.analysis.senses.contextual import Contextual, contextual
from clearhead.analysis.senses.telling import SenseScore, Split, Told, sense_score
from clearhead.analysis.senses.uses import Labelled, Use, find, read_uses

__all__ = [
    "Contextual",
    "Labelled",
    "SenseScore",
    "Split",
    "Told",
    "Use",
    "contextual",
    "find",
    "read_uses",
    "sense_score",
]
