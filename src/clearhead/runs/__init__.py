"""Training runs from resolving options to the finished model. No console: progress goes to ``Events``."""

from clearhead.runs.calibration import calibrate
from clearhead.runs.description import Description, describe
from clearhead.runs.evaluation import evaluate, rounding
from clearhead.runs.events import Events, interruptible
from clearhead.runs.finish import Run
from clearhead.runs.folder import LOG, RECIPE, STATE, Interrupted, resuming
from clearhead.runs.kept import Kept, kept
from clearhead.runs.material import Material, prepare
from clearhead.runs.pair_evaluation import PairEvaluation, evaluate_pairs
from clearhead.runs.proof import Proof, prove
from clearhead.runs.python import resume, train
from clearhead.runs.resolve import Asked, layout_of
from clearhead.runs.session import go_on, start
from clearhead.runs.steps import keeper

__all__ = [
    "LOG",
    "RECIPE",
    "STATE",
    "Asked",
    "Description",
    "Events",
    "Interrupted",
    "Kept",
    "Material",
    "PairEvaluation",
    "Proof",
    "Run",
    "calibrate",
    "describe",
    "evaluate",
    "evaluate_pairs",
    "go_on",
    "interruptible",
    "keeper",
    "kept",
    "layout_of",
    "prepare",
    "prove",
    "resume",
    "resuming",
    "rounding",
    "start",
    "train",
]
