"""torch.compile for training: checks that it works here, and compiles a model before its first step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from clearhead import machine
from clearhead.errors import ConfigError
from clearhead.model import Network
from clearhead.text import Batch
from clearhead.training.objective import batch_loss


@cache
def refuses() -> str | None:
    """torch's own reason why torch.compile fails on this machine, or None if it works. Takes a few seconds.

    It needs a C++ compiler, Python's headers, a writable cache, and Triton on CUDA.
    """
    from torch._dynamo.exc import BackendCompilerFailed

    def little(x: Tensor) -> Tensor:
        return x.sin() + 1

    try:
        torch.compile(little)(torch.ones(8, device=machine.device()))
    except BackendCompilerFailed as failed:
        return str(failed).strip().splitlines()[0]
    return None


def compiled(model: Network, batch: Batch, autocast: torch.autocast) -> Callable[..., Tensor]:
    """Compiles the model's forward and backward with a pass over ``batch``, which leaves the model unchanged.

    An uncompiled pass goes first: otherwise what a model makes once, such as rotary tables, would be compiled in, and
    the model compiled again once it exists.
    Draws random numbers if the model has dropout. Raises ConfigError if torch.compile does not work here.
    """
    if why := refuses():
        raise ConfigError(f"train.compile is true, and torch.compile does not work here: {why}; leave it out")
    run: Callable[..., Tensor] = torch.compile(model)
    training = model.training
    model.train()
    try:
        with autocast:
            with torch.no_grad():
                batch_loss(model, batch)
            loss = batch_loss(model, batch, run=run)
        loss.backward()
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)
    return run
