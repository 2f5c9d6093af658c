"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.effect import Effect, effect
from clearhead.analysis.heads import Copying, FoundHead, FoundHeads, copying, find_heads
from clearhead.analysis.interventions import EVERY, direction, edit, every, path
from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.observe import observe, observe_ids, words_of
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.outcomes import Measure, diff, kl, logprob, nll
from clearhead.analysis.predictions import Candidate, NextWords, next_words
from clearhead.analysis.sweep import Sweep, sweep

__all__ = [
    "EVERY",
    "Attribution",
    "Candidate",
    "Copying",
    "Effect",
    "FoundHead",
    "FoundHeads",
    "Lexicon",
    "Measure",
    "NextWords",
    "Steps",
    "Sweep",
    "attribution",
    "copying",
    "diff",
    "direction",
    "edit",
    "effect",
    "every",
    "find_heads",
    "kl",
    "logprob",
    "next_words",
    "nll",
    "observe",
    "observe_ids",
    "path",
    "steps",
    "sweep",
    "words",
    "words_of",
]
