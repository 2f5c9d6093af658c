"""Muon and AdamW as one optimizer with one state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from clearhead.errors import TrainingError
from clearhead.model import Network
from clearhead.model.parts.linear import Stacked
from clearhead.training.adamw import AdamW
from clearhead.training.config import OptimizerConfig
from clearhead.training.muon import Muon, Slab


class Optimizer:
    """Muon on the inner matrices and AdamW on the rest (Jordan et al. 2024), or AdamW on all that require gradients."""

    def __init__(self, model: Network, config: OptimizerConfig) -> None:
        self.config = config
        self.model = model
        slabs = list(matrices(model)) if config.kind == "muon" else []
        taken = {id(slab.parameter) for slab in slabs}
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad and id(p) not in taken]
        rest = [p for _, p in named]
        decays = {
            id(p) for name, p in named if p.dim() > 1 and not name.endswith("bias")
        }  # experts' biases form a matrix
        groups = [
            ([p for p in rest if id(p) in decays], config.weight_decay),
            ([p for p in rest if id(p) not in decays], 0.0),
        ]
        self.adamw = AdamW(groups, lr=config.adamw_lr, betas=(config.beta1, config.beta2))
        self.muon = None
        if slabs:
            self.muon = Muon(
                slabs,
                lr=config.lr,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                dtype=torch.bfloat16 if config.precision == "bfloat16" else torch.float32,
            )

    def step(self, rate: float) -> None:
        """Clips the gradient, updates all weights at ``rate`` times the peak learning rates, clears the gradient."""
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.adamw.lr = rate * self.config.adamw_lr
        self.adamw.step()
        if self.muon is not None:
            self.muon.lr = rate * self.config.lr
            self.muon.step()
        self.model.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every tensor, besides the weights, that the next step depends on, under stable names."""
        tensors: dict[str, Tensor] = {}
        names = {id(p): name for name, p in self.model.named_parameters()}
        for parameter, values in self.adamw.state.items():
            tensors.update({f"adamw.{names[id(parameter)]}.{key}": value for key, value in values.items()})
        if self.muon is not None:
            tensors.update({f"muon.{r}x{c}": momentum for (r, c), momentum in self.muon.momenta.items()})
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores the output of ``state``. Raises TrainingError if it belongs to another model or optimizer."""
        own = self.state()
        if differing := unlike(own, tensors):
            raise TrainingError(
                f"the saved optimizer state belongs to another model: {', '.join(differing[:5])} differ"
            )
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def unlike(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names that only one of the two has, or whose shapes differ."""
    shared = own.keys() & other.keys()
    return sorted(own.keys() ^ other.keys() | {name for name in shared if own[name].shape != other[name].shape})


def matrices(model: Network) -> Iterator[Slab]:
    """All trained matrices between embedding and output layer, fused ones split up and stacks split by expert."""
    for module in model.modules():
        if module is model.output or not isinstance(module, Stacked):
            continue
        for weight, rows in module.stacks:
            if not weight.requires_grad:
                continue
            for expert in range(len(weight)) if weight.dim() == 3 else (None,):
                start = 0
                for count in rows:
                    yield Slab(weight, start, count, expert)
                    start += count
