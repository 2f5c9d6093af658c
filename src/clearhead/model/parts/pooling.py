"""Pools the hidden states of a text into one vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend import wide
from clearhead.errors import ConfigError, nearest


def _mean(x_BTE: Tensor, text_BT1: Tensor) -> Tensor:
    return (x_BTE * text_BT1).sum(1) / text_BT1.sum(1)


def _root(x_BTE: Tensor, text_BT1: Tensor) -> Tensor:
    return (x_BTE * text_BT1).sum(1) / text_BT1.sum(1).sqrt()


def _largest(x_BTE: Tensor, text_BT1: Tensor) -> Tensor:
    return x_BTE.masked_fill(~text_BT1, -torch.inf).amax(1)


def _first(x_BTE: Tensor, text_BT1: Tensor) -> Tensor:
    return x_BTE[:, 0]


def _last(x_BTE: Tensor, text_BT1: Tensor) -> Tensor:
    return x_BTE[torch.arange(len(x_BTE)), text_BT1[:, :, 0].sum(1) - 1]


RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "mean-root": _root,  # the sum over the root of the length
    "max": _largest,
    "first": _first,
    "last": _last,
}


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How the hidden states of a text become its vector (Reimers and Gurevych 2019, 3), special tokens counted.

    context: tokens read per text, special tokens included; None = the model's context length
    """

    kind: str = "mean"  # a name of RULES
    normalised: bool = False  # to length 1
    context: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in RULES:
            raise ConfigError(f"pooling: there is no kind {self.kind!r}{nearest(self.kind, RULES)}")
        if self.context is not None and self.context < 1:
            raise ConfigError(f"pooling: context is {self.context}; it must be at least 1, or left out")

    def __call__(self, x_BTE: Tensor, lengths_B: Tensor) -> Tensor:
        """vectors_BE in float32 or wider from the first ``lengths_B`` places of each text."""
        x_BTE = x_BTE.to(wide(x_BTE.dtype))
        places_T = torch.arange(x_BTE.shape[1], device=x_BTE.device)
        vectors_BE = RULES[self.kind](x_BTE, (places_T < lengths_B[:, None]).unsqueeze(-1))
        return torch.nn.functional.normalize(vectors_BE, dim=-1) if self.normalised else vectors_BE
