"""The kinds of models: each a config class and a network class, registered by the file that adds it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from clearhead.errors import OptionError
from clearhead.model.config import ModelConfig
from clearhead.model.protocol import Network

_NETWORKS: dict[type[ModelConfig], type[Any]] = {}


def register(config: type[ModelConfig], network: type[Network]) -> None:
    """Adds a kind, under the config's ``kind``: recipes and our own layout of the hub know it from then on.

    The network is called with such a config. A kind that has been added stays what it is: OptionError.
    """
    if ModelConfig.classes.setdefault(config.kind, config) is not config:
        raise OptionError(f"model: there is a kind {config.kind!r} already; give the new one another name")
    _NETWORKS[config] = network


def skeleton(config: ModelConfig) -> Network:
    """A model without memory for its weights (on the meta device), to be filled from a file."""
    with torch.device("meta"):
        return _NETWORKS[type(config)](config)


def build(config: ModelConfig, *, seed: int) -> Network:
    """A model with fresh weights, as its ``fresh`` says. The global random state is left as it was."""
    model = skeleton(config).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        mean, std = model.fresh(name)
        if std:
            nn.init.normal_(parameter, mean, std, generator=generator)
        else:
            nn.init.constant_(parameter, mean)
    return model
