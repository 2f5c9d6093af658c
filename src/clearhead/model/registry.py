"""The registry of model kinds. Each is a config class and a network class, registered by its own file."""

from __future__ import annotations

from typing import Any

import torch

from clearhead.errors import OptionError
from clearhead.model.config import ModelConfig
from clearhead.model.protocol import Network

_NETWORKS: dict[type[ModelConfig], type[Any]] = {}


def register(config: type[ModelConfig], network: type[Network]) -> None:
    """Adds a kind of model, named by the config's ``kind``. Recipes and saved folders can then use it.

    ``network`` is constructed from such a config. Raises OptionError if the name is taken.
    """
    if ModelConfig.classes.setdefault(config.kind, config) is not config:
        raise OptionError(f"model: there is a kind {config.kind!r} already; give the new one another name")
    _NETWORKS[config] = network


def skeleton(config: ModelConfig) -> Network:
    """A model on the meta device, without memory for its weights, to be filled from a file."""
    with torch.device("meta"):
        return _NETWORKS[type(config)](config)


def build(config: ModelConfig, *, seed: int) -> Network:
    """A model with newly initialised weights (see ``Network.initialise``). Leaves the global random state unchanged."""
    model = skeleton(config)
    # to_empty would import sympy, which takes 0.4 s
    weights = {name: torch.empty(like.shape, dtype=like.dtype) for name, like in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    model.initialise(torch.Generator().manual_seed(seed))
    return model
