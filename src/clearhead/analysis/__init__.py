"""Analysis of what a model does with a text."""

from clearhead.analysis.observe import observe, observe_ids
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.predictions import Candidate, NextWords, next_words

__all__ = ["Candidate", "NextWords", "Steps", "next_words", "observe", "observe_ids", "steps"]
