"""Training: one loop, one optimizer, one saved state."""

from clearhead.training.checkpoint import Progress, TrainingState, load_state, saved
from clearhead.training.config import OptimizerConfig, TrainConfig
from clearhead.training.loop import Hooks, Outcome, evaluate, fit
from clearhead.training.memory import check_memory, memory_needed
from clearhead.training.objective import Evaluation, next_token_loss
from clearhead.training.report import Evaluated, Report, Stepped, best_evaluation, read_log

__all__ = [
    "Evaluated",
    "Evaluation",
    "Hooks",
    "OptimizerConfig",
    "Outcome",
    "Progress",
    "Report",
    "Stepped",
    "TrainConfig",
    "TrainingState",
    "best_evaluation",
    "check_memory",
    "evaluate",
    "fit",
    "load_state",
    "memory_needed",
    "next_token_loss",
    "read_log",
    "saved",
]
