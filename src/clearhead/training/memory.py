"""What training takes of the device's memory, estimated before anything is allocated."""

from __future__ import annotations

from clearhead import machine
from clearhead.model import ModelConfig
from clearhead.training.config import TrainConfig, window_of
from clearhead.training.cross_entropy import LOGITS_AT_ONCE


def check_memory(model: ModelConfig, config: TrainConfig) -> None:
    """Raises MemoryNeededError when training would need more memory than is free; estimated, nothing is allocated."""
    need = memory_needed(model, config)
    machine.check_free(
        need,
        machine.device(),
        f"training {model.parameters():,} weights on {config.batch} texts of {window_of(config, model)} tokens needs "
        f"about {need / 1e9:.1f} GB",
        "lower train.batch or train.window, or take a smaller model",
    )


def memory_needed(model: ModelConfig, config: TrainConfig) -> int:
    """Bytes for weights, gradients, two optimizer states and a copy to save, and what backward keeps of one batch."""
    tokens, E, F = config.batch * window_of(config, model), model.width, model.feed_forward.width
    A = model.feed_forward.active
    inner = (model.attention.heads + 2 * model.attention.kv_heads) * model.attention.head_width
    # Kept for backward or passing, in float32: 8 widths of the residual stream, 3 of the projections, 5 of the hidden
    # layer and 3 of the stream again for each further expert; within a tenth of what a process grows by
    # (tests/runs/test_run_memory.py).
    activations = tokens * model.layers * (8 * E + 3 * inner + 5 * F * A + 3 * E * (A - 1))
    logits = min(LOGITS_AT_ONCE[machine.device()], tokens * model.vocabulary)
    return 4 * (5 * model.parameters() + activations + 3 * logits + model.vocabulary * E)
