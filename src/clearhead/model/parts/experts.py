"""A sparse mixture of experts: many feed-forwards, of which each token goes through a few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import wide
from clearhead.model.config import ExpertsConfig, FeedForwardConfig, ModelConfig
from clearhead.model.parts.feed_forward import FeedForward, activated, rows

GROUPED = (torch.float32, torch.bfloat16, torch.float16)  # dtypes of PyTorch's grouped product
ALIGNMENT = 16  # bytes, of the rows it is given


class Router(nn.Module):
    """Chooses the experts of each token and says how much each counts."""

    def __init__(self, width: int, config: ExpertsConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.count, width))
        self.bias = nn.Parameter(torch.empty(config.count)) if config.bias else None
        self.active, self.softmax, self.balance = config.active, config.softmax, config.balance

    def forward(self, x_NE: Tensor) -> tuple[Tensor, Tensor]:
        """weights_NA in float32 or wider and experts_NA: the A active ones, the highest score first."""
        s_NX = F.linear(x_NE, self.weight, self.bias)
        s_NX = s_NX.to(wide(s_NX.dtype))
        s_NA, experts_NA = s_NX.topk(self.active, dim=-1)
        weights_NA = s_NA.softmax(dim=-1) if self.softmax == "chosen" else s_NX.softmax(dim=-1).gather(-1, experts_NA)
        if self.training and self.balance and torch.is_grad_enabled():
            weights_NA = cast(Tensor, Attached.apply(weights_NA, self.balance * imbalance(s_NX, experts_NA)))
        return weights_NA, experts_NA


def imbalance(s_NX: Tensor, experts_NA: Tensor) -> Tensor:
    """X sum_x share_x mean_x, which is A where all X experts are used alike (Fedus et al. 2021, eq. 4).

    share: the tokens that went to an expert, out of all; mean: of its softmax over all experts. Scores s_NX.
    """
    N, X = s_NX.shape
    share_X = torch.zeros(X, dtype=s_NX.dtype, device=s_NX.device)
    share_X.index_add_(0, experts_NA.flatten(), share_X.new_full((experts_NA.numel(),), 1 / N))
    return X * (share_X @ s_NX.softmax(dim=-1).mean(dim=0))


class Attached(torch.autograd.Function):
    """x as it is; its backward pass also gives ``extra`` the gradient of a part of the loss, 1.

    So what the experts add to the loss needs no way out of the model, and the loss stays nats per token.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, extra: Tensor) -> Tensor:
        ctx.dtype, ctx.device = extra.dtype, extra.device
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        return grads[0], torch.ones((), dtype=ctx.dtype, device=ctx.device)


class Stack(nn.Module):
    """One linear layer per expert: weight_XRE and, if wanted, bias_XR."""

    def __init__(self, experts: int, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(experts, outputs)) if bias else None

    def forward(self, x_SE: Tensor, experts_S: Tensor, ends_X: Tensor) -> Tensor:
        """x_SE, sorted by the expert of each row, and where each expert's rows end -> y_SR. One product per expert."""
        x_SE, weight_XRE = _products(x_SE), _products(self.weight)
        if not _groups(weight_XRE):
            return _each(x_SE, weight_XRE, self.bias, ends_X)  # pyright: ignore[reportCallIssue] (the decorator's types)
        y_SR = F.grouped_mm(x_SE, weight_XRE.mT, offs=ends_X.int())
        return y_SR if self.bias is None else y_SR + self.bias.to(y_SR.dtype)[experts_S]


def _products(t: Tensor) -> Tensor:
    """In the dtype in which autocast wants products, which the grouped one does not ask for itself."""
    device = t.device.type
    return t.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else t


def _groups(weight_XRE: Tensor) -> bool:
    """Whether PyTorch's grouped product takes such weights: rows must be aligned; its compiler knows only bfloat16."""
    fits = all(size * weight_XRE.element_size() % ALIGNMENT == 0 for size in weight_XRE.shape[1:])
    device, dtype = weight_XRE.device.type, weight_XRE.dtype
    if not fits or dtype not in GROUPED or (torch.compiler.is_compiling() and dtype != torch.bfloat16):
        return False
    return device == "cpu" or (device == "cuda" and torch.cuda.get_device_capability(weight_XRE.device) >= (8, 0))


@torch.compiler.disable  # how many rows an expert gets is known at run time only; each routing would be compiled anew
def _each(x_SE: Tensor, weight_XRE: Tensor, bias_XR: Tensor | None, ends_X: Tensor) -> Tensor:
    # unbind: the gradient of one stack; an index for each expert would give as many gradients of the whole size
    weights = weight_XRE.unbind() if torch.is_grad_enabled() else weight_XRE
    biases = bias_XR.unbind() if bias_XR is not None and torch.is_grad_enabled() else bias_XR
    outputs, start = list[Tensor](), 0
    for expert, end in enumerate(ends_X.tolist()):
        if end > start:
            outputs.append(F.linear(x_SE[start:end], weights[expert], None if biases is None else biases[expert]))
        start = end
    return torch.cat(outputs)


class Experts(nn.Module):
    """sum_a weight_a expert_a(x) over the A experts that the router chooses (Shazeer et al. 2017, eq. 1).

    Tokens are sorted by expert, so that each expert is one product, whatever the number of tokens.
    """

    def __init__(self, width: int, config: FeedForwardConfig, experts: ExpertsConfig) -> None:
        super().__init__()
        self.count = experts.count
        self.router = Router(width, experts)
        self.up = Stack(experts.count, width, rows(config), bias=config.bias)
        self.down = Stack(experts.count, config.width, width, bias=config.bias)
        self.activated = activated(config)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """x_BTE -> x_BTE."""
        x_NE = x_BTE.reshape(-1, x_BTE.shape[-1])
        weights_NA, experts_NA = self.router(x_NE)
        experts_S, order_S = experts_NA.flatten().sort(stable=True)
        ends_X = torch.searchsorted(experts_S, torch.arange(self.count, device=x_NE.device), right=True)
        x_SE = x_NE.index_select(0, order_S // experts_NA.shape[1])
        y_SE = self.down(self.activated(self.up(x_SE, experts_S, ends_X)), experts_S, ends_X)
        y_NAE = torch.empty_like(y_SE).index_copy(0, order_S, y_SE).view(*experts_NA.shape, -1)
        return (y_NAE * weights_NA.unsqueeze(-1)).sum(dim=1).to(x_BTE.dtype).view(x_BTE.shape)


def feed_forward(config: ModelConfig, layer: int) -> FeedForward | Experts:
    """The feed-forward of a layer that the config names."""
    f = config.feed_forward
    if f.experts is None:
        return FeedForward(config.width, f)
    if layer in f.experts.dense:
        return FeedForward(config.width, replace(f, width=f.experts.dense_width or f.width, experts=None))
    return Experts(config.width, f, f.experts)
