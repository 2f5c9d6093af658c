"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.attribution import Attribution, Baseline, attribution
from clearhead.analysis.circuits import Circuit, Composition, circuit, composition
from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.logit_lens import Lens, lens
from clearhead.analysis.observe import observe, observe_ids, words_of
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.parts import LogitParts, Share, logit_parts
from clearhead.analysis.predictions import Candidate, NextWords, next_words
from clearhead.analysis.tuned_lens import TunedLens, read_lens, tune_lens

__all__ = [
    "Attribution",
    "Baseline",
    "Candidate",
    "Circuit",
    "Composition",
    "Lens",
    "Lexicon",
    "LogitParts",
    "NextWords",
    "Share",
    "Steps",
    "TunedLens",
    "attribution",
    "circuit",
    "composition",
    "lens",
    "logit_parts",
    "next_words",
    "observe",
    "observe_ids",
    "read_lens",
    "steps",
    "tune_lens",
    "words",
    "words_of",
]
