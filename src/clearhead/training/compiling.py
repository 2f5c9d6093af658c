"""torch.compile for training: whether it works here, and a model compiled before its first step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from clearhead import machine
from clearhead.errors import ConfigError
from clearhead.model import Network
from clearhead.text import Batch
from clearhead.training.objective import next_token_loss


@cache
def refuses() -> str | None:
    """Why torch.compile does not work on this machine, in its own words; None where it does. Takes some seconds.

    It needs a C++ compiler, Python's headers, a place to write, and on CUDA Triton.
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
    """The model's call compiled, forward and backward, by a pass over ``batch`` that leaves the model as it was.

    Random numbers are drawn where the model has dropout. Raises ConfigError where torch.compile does not work.
    """
    if why := refuses():
        raise ConfigError(f"train.compile is true, and torch.compile does not work here: {why}; leave it out")
    run: Callable[..., Tensor] = torch.compile(model)
    training = model.training
    model.train()
    with autocast:
        loss = next_token_loss(model, batch, run=run)
    loss.backward()
    model.zero_grad(set_to_none=True)
    model.train(training)
    return run
