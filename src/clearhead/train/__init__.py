"""Training: one loop, one optimizer, one state on the disk."""

from clearhead.train.checkpoint import Progress, State, load_state, saved
from clearhead.train.config import OptimizerConfig, TrainConfig
from clearhead.train.loop import Hooks, Outcome, fit, score_of
from clearhead.train.memory import check_memory, memory_needed
from clearhead.train.objective import Score, next_token_loss
from clearhead.train.report import Evaluated, Report, Stepped, read_log

__all__ = [
    "Evaluated",
    "Hooks",
    "OptimizerConfig",
    "Outcome",
    "Progress",
    "Report",
    "Score",
    "State",
    "Stepped",
    "TrainConfig",
    "check_memory",
    "fit",
    "load_state",
    "memory_needed",
    "next_token_loss",
    "read_log",
    "saved",
    "score_of",
]
