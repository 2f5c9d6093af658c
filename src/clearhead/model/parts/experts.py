"""A sparse mixture of experts: many feed-forwards, a few of which process each token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.attend import wide
from clearhead.model.parts.config import ExpertsConfig, FeedForwardConfig
from clearhead.model.parts.feed_forward import activated
from clearhead.model.parts.linear import Linear, Stack


class Loads:
    """How a pass spread its tokens over the experts, all layers together.

    text_N: which of the B x T tokens are text, not padding; None = all.
    """

    def __init__(self, text_N: Tensor | None = None) -> None:
        self.text_N = text_N
        self._chosen: list[Tensor] = []
        self._probable: list[Tensor] = []
        self._tokens = 0.0

    def add(self, s_NX: Tensor, experts_NA: Tensor) -> None:
        """Counts one layer: the scores of all experts, in float32 or wider, and the experts chosen."""
        N, X = s_NX.shape
        counted_N = s_NX.new_ones(N) if self.text_N is None else self.text_N.to(s_NX.dtype)
        chosen_X = s_NX.new_zeros(X)
        chosen_X.index_add_(0, experts_NA.flatten(), counted_N.repeat_interleave(experts_NA.shape[1]))
        self._chosen.append(chosen_X)
        self._probable.append(counted_N @ s_NX.softmax(dim=-1))
        self._tokens = self._tokens + counted_N.sum()

    def imbalance(self) -> Tensor:
        """X sum_x share_x mean_x, which is A when all X experts are used equally (Fedus et al. 2021, eq. 4).

        share: the fraction of tokens that went to an expert; mean: its mean probability, by a softmax over all experts.
        """
        chosen_X, probable_X = torch.stack(self._chosen).sum(0), torch.stack(self._probable).sum(0)
        return len(chosen_X) * (chosen_X / self._tokens) @ (probable_X / self._tokens)


class Router(Linear):
    """Chooses the experts of each token and their weights."""

    def __init__(self, width: int, config: ExpertsConfig) -> None:
        super().__init__(width, config.count, bias=config.bias)
        self.active, self.softmax = config.active, config.softmax

    def forward(self, input: Tensor, loads: Loads | None = None) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """x_NE -> weights_NA in float32 or wider and experts_NA: the A active ones, the highest score first."""
        s_NX = super().forward(input)
        s_NX = s_NX.to(wide(s_NX.dtype))
        s_NA, experts_NA = s_NX.topk(self.active, dim=-1)
        weights_NA = s_NA.softmax(dim=-1) if self.softmax == "chosen" else s_NX.softmax(dim=-1).gather(-1, experts_NA)
        if loads is not None:
            loads.add(s_NX, experts_NA)
        return weights_NA, experts_NA


class Experts(nn.Module):
    """sum_a weight_a expert_a(x) over the A experts that the router chooses (Shazeer et al. 2017, eq. 1).

    Tokens are sorted by expert, so each expert needs one product.
    """

    def __init__(self, width: int, config: FeedForwardConfig, experts: ExpertsConfig) -> None:
        super().__init__()
        self.count = experts.count
        self.router = Router(width, experts)
        self.up = Stack(experts.count, width, config.rows, bias=config.bias, rows=config.halves)
        self.down = Stack(experts.count, config.width, width, bias=config.bias)
        self.activated = activated(config)

    def forward(self, x_BTE: Tensor, loads: Loads | None = None) -> Tensor:
        """x_BTE -> x_BTE; the tokens of each expert are counted into ``loads``."""
        x_NE = x_BTE.reshape(-1, x_BTE.shape[-1])
        weights_NA, experts_NA = self.router(x_NE, loads)
        experts_S, order_S = experts_NA.flatten().sort(stable=True)
        ends_X = torch.searchsorted(experts_S, torch.arange(self.count, device=x_NE.device), right=True)
        x_SE = x_NE.index_select(0, order_S // experts_NA.shape[1])
        y_SE = self.down(self.activated(self.up(x_SE, experts_S, ends_X)), experts_S, ends_X)
        y_NAE = torch.empty_like(y_SE).index_copy(0, order_S, y_SE).view(*experts_NA.shape, -1)
        return (y_NAE * weights_NA.unsqueeze(-1)).sum(dim=1).to(x_BTE.dtype).view(x_BTE.shape)
