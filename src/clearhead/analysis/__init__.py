"""Analysis of what a model does with a text: watched passes, and the gradient of a prediction."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.observe import observe, observe_ids, words_of
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.predictions import Candidate, NextWords, next_words

__all__ = [
    "Attribution",
    "Candidate",
    "NextWords",
    "Steps",
    "attribution",
    "next_words",
    "observe",
    "observe_ids",
    "steps",
    "words_of",
]
