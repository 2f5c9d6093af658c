"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019), by torch's fused kernel.

torch.optim.AdamW calls the same kernel, but making one imports torch's compiler, which takes as long as torch itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


class AdamW:
    """Trains groups of parameters, each with a weight decay of its own. The state exists from the start.

    lr is the learning rate of the next step.
    """

    def __init__(
        self, groups: Sequence[tuple[Sequence[nn.Parameter], float]], *, lr: float, betas: tuple[float, float]
    ) -> None:
        self.groups = groups
        self.lr = lr
        self.betas = betas
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {
            parameter: {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameters, _ in groups
            for parameter in parameters
        }

    @torch.no_grad()
    def step(self) -> None:
        """Updates the parameters that have a gradient."""
        for parameters, decay in self.groups:
            given = [(p, p.grad, self.state[p]) for p in parameters if p.grad is not None]
            adamw(
                [p for p, _, _ in given],
                [gradient for _, gradient, _ in given],
                [state["exp_avg"] for _, _, state in given],
                [state["exp_avg_sq"] for _, _, state in given],
                [],
                [state["step"] for _, _, state in given],
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=self.lr,
                weight_decay=decay,
                eps=1e-8,
                maximize=False,
            )
