"""Senses of words: how a word's vector differs between its uses, and how well it tells them apart."""

from clearhead.analysis.usage.comparing import HeadReading, Read, Seen, Senses, senses
from clearhead.analysis.usage.contextual import Contextual, contextual
from clearhead.analysis.usage.telling import SensePrediction, SenseScore, Split, level_name, sense_score
from clearhead.analysis.usage.uses import Labelled, Use, find, read_uses

__all__ = [
    "Contextual",
    "HeadReading",
    "Labelled",
    "Read",
    "Seen",
    "SensePrediction",
    "SenseScore",
    "Senses",
    "Split",
    "Use",
    "contextual",
    "find",
    "level_name",
    "read_uses",
    "sense_score",
    "senses",
]
