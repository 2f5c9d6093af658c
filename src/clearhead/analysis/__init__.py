"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.observe import observe, observe_ids, words_of
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.predictions import Candidate, NextWords, next_words
from clearhead.analysis.usage import Senses, SenseScore, sense_score, senses

__all__ = [
    "Attribution",
    "Candidate",
    "Lexicon",
    "NextWords",
    "SenseScore",
    "Senses",
    "Steps",
    "attribution",
    "next_words",
    "observe",
    "observe_ids",
    "sense_score",
    "senses",
    "steps",
    "words",
    "words_of",
]
