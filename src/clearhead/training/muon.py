"""Muon: momentum whose matrix updates are orthogonalised (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

torch.optim.Muon computes in bfloat16 and one matrix at a time. Here matrices of one shape are stacked, so a model
of a few layers costs a handful of batched products, and the caller chooses their dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# These coefficients maximise the quintic's slope at zero (Jordan et al. 2024). Five steps bring singular values to
# between 0.7 and 1.2, which trains as well as exactly 1.
QUINTIC = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalise(g_NRC: Tensor, dtype: torch.dtype) -> Tensor:
    """Moves the singular values of each matrix in the stack g_NRC (R <= C) close to 1. Products are in ``dtype``."""
    x_NRC = g_NRC.to(dtype)
    x_NRC = x_NRC / (torch.linalg.matrix_norm(x_NRC.float(), keepdim=True).to(dtype) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        gram_NRR = x_NRC @ x_NRC.mT
        poly_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
        x_NRC = torch.baddbmm(x_NRC, poly_NRR, x_NRC, beta=a)
    return x_NRC.to(g_NRC.dtype)


@dataclass(frozen=True)
class Slab:
    """Rows of a parameter that form a matrix of their own; a fused projection holds several.

    expert: index of the matrix in a stack; None if the parameter is a single matrix
    """

    parameter: torch.nn.Parameter
    start: int
    rows: int
    expert: int | None = None

    def of(self, tensor: Tensor) -> Tensor:
        """This slab's rows of a tensor shaped like the parameter."""
        matrix = tensor if self.expert is None else tensor[self.expert]
        return matrix[self.start : self.start + self.rows]


class Muon:
    """W <- (1 - lr wd) W - lr scale orthogonalise(nesterov momentum), scale = 0.2 sqrt(larger side).

    The scale gives every update the root mean square of a typical AdamW update (Liu et al. 2025, "Muon is scalable",
    eq. 4), so one learning rate suits both. lr is the learning rate of the next step.
    """

    def __init__(
        self, slabs: Sequence[Slab], *, lr: float, momentum: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        self.slabs: dict[tuple[int, int], list[Slab]] = {}
        for slab in slabs:
            rows, columns = slab.rows, slab.parameter.shape[-1]
            self.slabs.setdefault((min(rows, columns), max(rows, columns)), []).append(slab)
        self.parameters = list({id(slab.parameter): slab.parameter for slab in slabs}.values())
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dtype = dtype
        self.momenta = {
            shape: torch.zeros(len(group), *shape, device=group[0].parameter.device)
            for shape, group in self.slabs.items()
        }

    @torch.no_grad()
    def step(self) -> None:
        """Updates the parameters from their gradients. Every parameter must have one."""
        if self.weight_decay:
            for parameter in self.parameters:
                parameter.mul_(1 - self.lr * self.weight_decay)
        for shape, slabs in self.slabs.items():
            g_NRC = torch.stack([_wide(slab.of(_gradient(slab.parameter))) for slab in slabs]).float()
            m_NRC = self.momenta[shape]
            m_NRC.lerp_(g_NRC, 1 - self.momentum)
            u_NRC = orthogonalise(g_NRC.lerp_(m_NRC, self.momentum), self.dtype)
            scale = -self.lr * 0.2 * shape[1] ** 0.5
            for slab, u_RC in zip(slabs, u_NRC.unbind(), strict=True):
                rows = slab.of(slab.parameter)
                rows.add_(u_RC if rows.shape == u_RC.shape else u_RC.mT, alpha=scale)


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise RuntimeError("Muon: a matrix has no gradient; run backward() before step()")
    return parameter.grad
