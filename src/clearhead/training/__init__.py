"""Training: one loop, one optimizer, one saved state."""

from clearhead.training.checkpoint import Progress, TrainingState, load_state, saved
from clearhead.training.config import MaskConfig, OptimizerConfig, TrainConfig
from clearhead.training.evaluating import divergence, evaluate
from clearhead.training.loop import FitResult, Hooks, fit
from clearhead.training.masked_tokens import MaskedTokens
from clearhead.training.memory import check_memory, memory_needed
from clearhead.training.objective import NEXT_TOKENS, Evaluation, NextTokens, Objective, batch_loss
from clearhead.training.objectives import default_masks, objective_of
from clearhead.training.report import (
    Evaluated,
    Finished,
    Log,
    Report,
    Sample,
    Stepped,
    best_evaluation,
    read_end,
    read_log,
)
from clearhead.training.target_tokens import TARGET_TOKENS, TargetTokens

__all__ = [
    "NEXT_TOKENS",
    "TARGET_TOKENS",
    "Evaluated",
    "Evaluation",
    "Finished",
    "FitResult",
    "Hooks",
    "Log",
    "MaskConfig",
    "MaskedTokens",
    "NextTokens",
    "Objective",
    "OptimizerConfig",
    "Progress",
    "Report",
    "Sample",
    "Stepped",
    "TargetTokens",
    "TrainConfig",
    "TrainingState",
    "batch_loss",
    "best_evaluation",
    "check_memory",
    "default_masks",
    "divergence",
    "evaluate",
    "fit",
    "load_state",
    "memory_needed",
    "objective_of",
    "read_end",
    "read_log",
    "saved",
]
