"""Training: one loop, one optimizer, one state on the disk."""

from clearhead.training.checkpoint import Progress, State, load_state, saved
from clearhead.training.config import OptimizerConfig, TrainConfig
from clearhead.training.loop import Hooks, Outcome, fit, score_of
from clearhead.training.memory import check_memory, memory_needed
from clearhead.training.objective import Score, next_token_loss
from clearhead.training.report import Evaluated, Report, Stepped, read_log

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
