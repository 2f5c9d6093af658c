"""Analysis of what a model does with a text, and of its word vectors."""

from clearhead.analysis.alignment import Alignment, alignment
from clearhead.analysis.attribution import Attribution, Baseline, attribution
from clearhead.analysis.change import CHANGES, Change, change
from clearhead.analysis.circuits import Circuit, Composition, circuit, composition
from clearhead.analysis.effect import Effect, effect
from clearhead.analysis.heads import Copying, FoundHead, FoundHeads, copying, find_heads
from clearhead.analysis.history import Formed, History, history
from clearhead.analysis.interventions import EVERY, direction, edit, every, path
from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.logit_lens import Lens, lens
from clearhead.analysis.matrices import HeadWeights, head_weights
from clearhead.analysis.observe import observe, observe_ids
from clearhead.analysis.one_head import Steps, steps
from clearhead.analysis.outcomes import Measure, diff, kl, kl_from, logprob, nll
from clearhead.analysis.parts import LogitParts, Share, logit_parts
from clearhead.analysis.predictions import Candidate, NextWords, next_words
from clearhead.analysis.sweep import Sweep, sweep
from clearhead.analysis.tuned_lens import TunedLens, read_lens, tune_lens
from clearhead.analysis.usage import Senses, SenseScore, sense_score, senses

__all__ = [
    "CHANGES",
    "EVERY",
    "Alignment",
    "Attribution",
    "Baseline",
    "Candidate",
    "Change",
    "Circuit",
    "Composition",
    "Copying",
    "Effect",
    "Formed",
    "FoundHead",
    "FoundHeads",
    "HeadWeights",
    "History",
    "Lens",
    "Lexicon",
    "LogitParts",
    "Measure",
    "NextWords",
    "SenseScore",
    "Senses",
    "Share",
    "Steps",
    "Sweep",
    "TunedLens",
    "alignment",
    "attribution",
    "change",
    "circuit",
    "composition",
    "copying",
    "diff",
    "direction",
    "edit",
    "effect",
    "every",
    "find_heads",
    "head_weights",
    "history",
    "kl",
    "kl_from",
    "lens",
    "logit_parts",
    "logprob",
    "next_words",
    "nll",
    "observe",
    "observe_ids",
    "path",
    "read_lens",
    "sense_score",
    "senses",
    "steps",
    "sweep",
    "tune_lens",
    "words",
]
