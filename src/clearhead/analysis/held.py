"""Norms with their scale held, so that what they give is a sum over the parts of what they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import Norm
from clearhead.products import product


class Affine(Protocol):
    """y_F = A x_E + bias_F."""

    bias: Tensor | None

    def __call__(self, x_E: Tensor) -> Tensor: ...

    def pull(self, u_F: Tensor) -> Tensor:
        """u_F A, so that u . A x = pull(u) . x."""
        ...


class Scaled:
    """factor * (x - mean x) + bias, or without the mean."""

    def __init__(self, factor_E: Tensor, bias_E: Tensor | None = None, *, centred: bool = False) -> None:
        self.factor_E, self.bias, self.centred = factor_E, bias_E, centred

    def __call__(self, x_E: Tensor) -> Tensor:
        y_E = self.factor_E * (x_E - x_E.mean(-1, keepdim=True) if self.centred else x_E)
        return y_E if self.bias is None else y_E + self.bias

    def pull(self, u_F: Tensor) -> Tensor:
        """u_F A; centring is its own transpose."""
        u_E = u_F * self.factor_E
        return u_E - u_E.mean(-1, keepdim=True) if self.centred else u_E


class Multiplied:
    """W x + bias."""

    def __init__(self, weight_FE: Tensor, bias_F: Tensor | None) -> None:
        self.weight_FE, self.bias = weight_FE, bias_F

    def __call__(self, x_E: Tensor) -> Tensor:
        return product(x_E, self.weight_FE, self.bias)

    def pull(self, u_F: Tensor) -> Tensor:
        """u_F W."""
        return product(u_F, self.weight_FE.mT)


def held(map: Callable[[Tensor], Tensor], x_E: Tensor) -> Affine:
    """The affine map that gives what ``map`` gives at x_E, in float64.

    A norm keeps the scale it has there, an activation its slope from 0, (f(x) - f(0)) / x for each number.
    """
    if isinstance(map, nn.Identity):
        return Scaled(torch.ones_like(x_E))
    if isinstance(map, Linear):
        return Multiplied(map.matrix.detach().double(), _double(map.bias))
    if isinstance(map, Norm):
        own_E = x_E - x_E.mean() if map.centred else x_E
        scale = (own_E.square().mean() + map.eps).rsqrt()
        return Scaled(map.factors() * scale, _double(map.bias), centred=map.centred)
    zero_E = map(torch.zeros_like(x_E))
    slope_E = torch.where(x_E == 0, 0.0, (map(x_E) - zero_E) / torch.where(x_E == 0, 1.0, x_E))
    return Scaled(slope_E, zero_E)


def _double(bias_F: Tensor | None) -> Tensor | None:
    return None if bias_F is None else bias_F.detach().double()
