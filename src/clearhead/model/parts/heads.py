"""Optional heads of an encoder: one that predicts masked tokens, and a pooler."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from clearhead.model.parts.config import NormConfig, PredictionConfig
from clearhead.model.parts.feed_forward import ACTIVATIONS
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import norm


class PredictionHead(nn.Module):
    """norm(act(dense x)), before the output layer; ``bias`` (V,) is added to the logits (Devlin et al. 2019, A.1)."""

    def __init__(self, config: PredictionConfig, vocabulary: int, width: int, norms: NormConfig) -> None:
        super().__init__()
        self.dense = Linear(width, width, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = norm(norms, width)
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if config.output_bias else None

    def forward(self, x_BTE: Tensor) -> Tensor:
        """x_BTE -> x_BTE."""
        return self.norm(self.activation(self.dense(x_BTE)))

    def steps(self) -> tuple[Callable[[Tensor], Tensor], ...]:
        """The maps that ``forward`` applies, in order."""
        return self.dense, self.activation, self.norm


class Pooler(Linear):
    """tanh(W x + b) of the first token, trained to predict whether one text follows another."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, bias=True)

    def forward(self, input: Tensor) -> Tensor:
        """x_BE -> x_BE."""
        return torch.tanh(super().forward(input))
