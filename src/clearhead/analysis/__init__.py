"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.heads import Copying, FoundHead, FoundHeads, copying, find_heads
from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.observe import observe, observe_ids, words_of
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.predictions import Candidate, NextWords, next_words

__all__ = [
    "Attribution",
    "Candidate",
    "Copying",
    "FoundHead",
    "FoundHeads",
    "Lexicon",
    "NextWords",
    "Steps",
    "attribution",
    "copying",
    "find_heads",
    "next_words",
    "observe",
    "observe_ids",
    "steps",
    "words",
    "words_of",
]
