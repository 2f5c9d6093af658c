"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.observe import observe, observe_ids
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.predictions import Candidate, NextWords, next_words

__all__ = ["Candidate", "Lexicon", "NextWords", "Steps", "next_words", "observe", "observe_ids", "steps", "words"]
