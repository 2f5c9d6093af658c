"""What the model predicts: its log-probabilities, and the cross-entropy without ever holding all logits.

At 4,096 places, width 160 and 4,096 ids, forward and backward on one core take 0.48 times as long as the separate
operations (0.42 in bfloat16), and hold 4 MB of logits instead of 67.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from clearhead.attend import wide
from clearhead.model.parts.uncompiled import uncompiled

# Logits computed at a time: few enough for a processor's cache, enough to fill a GPU.
LOGITS_AT_ONCE = {"cpu": 2**20, "cuda": 2**27}


def log_probabilities(logits_BV: Tensor) -> Tensor:
    """The model's log-probabilities, in nats, float32 or wider: log softmax over every id of the output layer.

    This is the one definition, in the loss, in evaluations, and in what ``generate``, ``next``, ``fill`` and ``look``
    report; it comes before temperature and filters. Ids that the tokenizer has no token for count too: probability on
    them is wasted. A sampler never draws them, so its own probabilities are slightly larger.
    """
    return logits_BV.to(wide(logits_BV.dtype)).log_softmax(dim=-1)


def linear_cross_entropy(
    x_NE: Tensor,
    weight_VE: Tensor,
    targets_N: Tensor,
    cap: float | None = None,
    bias_V: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Sum of -log softmax(W x + b)[target] over all targets >= 0, in nats, float32 or wider.

    With ``smoothing`` s each term is 1 - s times that plus s times its mean over all ids (Szegedy et al. 2016, 7).
    With ``cap`` the logits l are cap tanh(l / cap) (Gemma 2). Differentiable once, in x, W and b; forward computes the
    gradient too. Products use autocast's dtype if it is on, sums float32 or wider.
    """
    # Checked here: inside forward, autograd is off, and ctx.needs_input_grad is true even under no_grad.
    given = [x_NE, weight_VE] if bias_V is None else [x_NE, weight_VE, bias_V]
    train = torch.is_grad_enabled() and any(each.requires_grad for each in given)
    return _blockwise(x_NE, weight_VE, targets_N, train, cap, bias_V, smoothing)


@uncompiled  # it would unroll the blocks, and the gradient is hand-written anyway
def _blockwise(
    x_NE: Tensor,
    weight_VE: Tensor,
    targets_N: Tensor,
    train: bool,
    cap: float | None,
    bias_V: Tensor | None,
    smoothing: float,
) -> Tensor:
    if x_NE.device.type == "cpu":  # on CUDA, choosing rows would wait for the device
        counted_N = targets_N >= 0
        if 2 * int(counted_N.sum()) < len(counted_N):
            x_NE, targets_N = x_NE[counted_N], targets_N[counted_N]
    apply: Any = _LinearCrossEntropy.apply
    return cast(Tensor, apply(x_NE, weight_VE, targets_N, train, cap, bias_V, smoothing))


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_NE: Tensor,
        weight_VE: Tensor,
        targets_N: Tensor,
        train: bool,
        cap: float | None,
        bias_V: Tensor | None,
        smoothing: float,
    ) -> Tensor:
        device = x_NE.device.type
        products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_NE.dtype
        dtype = wide(products)
        total = torch.zeros((), dtype=dtype, device=x_NE.device)
        dx_NE, dw_VE = (torch.empty_like(x_NE), torch.zeros_like(weight_VE)) if train else (None, None)
        db_V = torch.zeros_like(bias_V) if train and bias_V is not None else None
        step = max(1, LOGITS_AT_ONCE.get(device, LOGITS_AT_ONCE["cuda"]) // weight_VE.shape[0])
        with torch.autocast(device, enabled=False):
            w_VE = weight_VE.to(products)
            for start in range(0, x_NE.shape[0], step):
                rows = slice(start, start + step)
                x, targets = x_NE[rows].to(products), targets_N[rows]
                counted, targets = (targets >= 0).to(dtype), targets.clamp(min=0)
                logits = (x @ w_VE.mT).to(dtype)
                if bias_V is not None:
                    logits = logits + bias_V
                if cap is not None:
                    logits = cap * torch.tanh(logits / cap)
                lse = logits.logsumexp(dim=1)
                expected = logits.gather(1, targets[:, None])[:, 0]
                if smoothing:
                    expected = torch.lerp(expected, logits.mean(dim=1), smoothing)
                total += ((lse - expected) * counted).sum()
                if dx_NE is not None and dw_VE is not None:
                    slope = None if cap is None else 1 - (logits / cap) ** 2
                    d_logits = logits.sub_(lse[:, None]).exp_()
                    if smoothing:
                        d_logits -= smoothing / d_logits.shape[1]
                    d_logits.scatter_add_(1, targets[:, None], torch.full_like(d_logits[:, :1], smoothing - 1.0))
                    d = (d_logits if slope is None else d_logits.mul_(slope)).mul_(counted[:, None])
                    if db_V is not None:
                        db_V += d.sum(dim=0)
                    d = d.to(products)
                    dx_NE[rows] = d @ w_VE
                    dw_VE += d.mT @ x
        ctx.save_for_backward(dx_NE, dw_VE, db_V)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = grads
        dx_NE, dw_VE, db_V = ctx.saved_tensors
        return dx_NE * g, dw_VE * g, None, None, None, None if db_V is None else db_V * g, None
