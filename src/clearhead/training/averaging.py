"""Averages of a run's weights, which are evaluated and kept instead of the last ones."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from clearhead.errors import TrainingError
from clearhead.model import Network
from clearhead.training.config import TrainConfig


class Averaging:
    """The mean of the weights at the last evaluations (Vaswani et al. 2017, 6.1), an exponential mean, or none.

    The exponential mean weighs the newest weights with at least 1 / (steps + 1), so that it forgets the initial ones.
    """

    def __init__(self, model: Network, config: TrainConfig) -> None:
        self._model, self._kind = model, config.average
        self._decay, self._count = config.average_decay, config.average_of
        self._kept: list[dict[str, Tensor]] = []  # the mean, or the weights at the last evaluations, oldest first
        self._steps = 0

    @torch.no_grad()
    def stepped(self) -> None:
        """Called after each step."""
        if self._kind != "exponential":
            return
        self._steps += 1
        if not self._kept:
            self._kept = [_copy(self._model)]
        share = max(1 - self._decay, 1 / (self._steps + 1))
        for name, mean in self._kept[0].items():
            mean.lerp_(self._model.get_parameter(name), share)

    def evaluated(self) -> None:
        """Called at each evaluation, after ``applied``: later means include these weights."""
        self._kept = self._averaged()

    def _averaged(self) -> list[dict[str, Tensor]]:
        """The weights to average: with ``last``, the current ones and those of the evaluations before."""
        return [*self._kept, _copy(self._model)][-self._count :] if self._kind == "last" else self._kept

    @contextmanager
    def applied(self) -> Generator[None]:
        """Gives the model the mean weights during the block, as for an evaluation after this step."""
        averaged = self._averaged()
        if not averaged:
            yield
            return
        own = _copy(self._model)
        _load(self._model, {name: torch.stack([each[name] for each in averaged]).mean(dim=0) for name in own})
        try:
            yield
        finally:
            _load(self._model, own)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        tensors = {f"{n}.{name}": tensor for n, each in enumerate(self._kept) for name, tensor in each.items()}
        return {**tensors, "steps": torch.tensor(self._steps)} if self._kind != "none" else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the output of ``state``. Raises TrainingError if it belongs to another model."""
        if self._kind == "none":
            return
        own, found = _copy(self._model), dict[str, dict[str, Tensor]]()
        for name, tensor in tensors.items():
            number, _, rest = name.partition(".")
            if rest:
                found.setdefault(number, {})[rest] = tensor
        for each in found.values():
            if {name: tensor.shape for name, tensor in each.items()} != {name: own[name].shape for name in own}:
                raise TrainingError("the saved averages do not fit the recipe's model")
        self._kept = [found[number] for number in sorted(found, key=int)]
        self._steps = int(tensors.get("steps", torch.tensor(0)))


def copies(config: TrainConfig) -> int:
    """How many copies of the weights averaging needs, those made while the mean is in use included."""
    return {"none": 0, "exponential": 3, "last": config.average_of + 2}[config.average]


def _copy(model: Network) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def _load(model: Network, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
