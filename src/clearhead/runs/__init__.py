"""Training runs from resolving options to the finished model. No console: progress goes to ``Events``."""

from clearhead.runs.events import Events, interruptible
from clearhead.runs.finish import Run
from clearhead.runs.folder import LOG, RECIPE, STATE, Interrupted, resuming
from clearhead.runs.material import Material, check_field, prepare
from clearhead.runs.proof import Proof, prove
from clearhead.runs.python import resume, train
from clearhead.runs.resolve import Asked, present
from clearhead.runs.session import go_on, start
from clearhead.runs.steps import keeper

__all__ = [
    "LOG",
    "RECIPE",
    "STATE",
    "Asked",
    "Events",
    "Interrupted",
    "Material",
    "Proof",
    "Run",
    "check_field",
    "go_on",
    "interruptible",
    "keeper",
    "prepare",
    "present",
    "prove",
    "resume",
    "resuming",
    "start",
    "train",
]
