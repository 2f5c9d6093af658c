"""The memory that training needs, estimated before anything is allocated."""

from __future__ import annotations

from clearhead import machine
from clearhead.model import ModelConfig
from clearhead.model.parts.cross_entropy import LOGITS_AT_ONCE
from clearhead.training.averaging import copies
from clearhead.training.config import TrainConfig, window_of


def check_memory(model: ModelConfig, config: TrainConfig) -> None:
    """Raises MemoryNeededError if training would need more memory than is free. Allocates nothing."""
    need = memory_needed(model, config)
    machine.check_free(
        need,
        machine.device(),
        f"training {model.parameters():,} weights on {config.batch:,} texts of {window_of(config, model):,} tokens "
        f"needs about {need / 1e9:,.1f} GB",
        "lower train.batch or train.window, or use a smaller model",
    )


def memory_needed(model: ModelConfig, config: TrainConfig) -> int:
    """Bytes for weights, gradients, two optimizer states, a copy to save, averages, and one batch's activations."""
    tokens = config.batch * window_of(config, model)
    logits = min(LOGITS_AT_ONCE[machine.device()], tokens * model.vocabulary)
    activations = tokens * model.training_numbers() + 3 * logits + model.vocabulary * model.width
    return 4 * ((5 + copies(config)) * model.parameters() + activations)
