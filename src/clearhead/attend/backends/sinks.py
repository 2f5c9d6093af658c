"""Attention sinks for kernels that have none: a sink only rescales a row, by what the row's log-sum-exp tells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

aten = torch.ops.aten


def sunk(o_BHQD: Tensor, lse_BHQ: Tensor, sinks_H: Tensor) -> Tensor:
    """Outputs of a softmax without sinks -> with them: e^lse of the row's mass e^lse + e^sink is left."""
    kept_BHQ = torch.sigmoid(lse_BHQ - sinks_H.to(lse_BHQ.dtype).view(1, -1, 1))
    return (o_BHQD * kept_BHQ.unsqueeze(-1)).to(o_BHQD.dtype)


class FlashWithSinks(torch.autograd.Function):
    """PyTorch's flash kernel for processors, which gives the log-sum-exp but lets no gradient through it.

    Its backward pass rebuilds each weight as exp(s - lse) and needs sum(g o) of each row (Dao 2023, "FlashAttention-2",
    algorithm 2); given the sums and outputs that include the sink, it is right as it stands. The sink's own weight is
    exp(sink - lse) and its value zero, so d sink = -exp(sink - lse) sum(g o) over texts and rows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q_BHQD: Tensor,
        k_BGKD: Tensor,
        v_BGKD: Tensor,
        sinks_H: Tensor,
        added_BHQK: Tensor | None,
        causal: bool,
        scale: float,
    ) -> Tensor:
        o_BHQD, lse_BHQ = aten._scaled_dot_product_flash_attention_for_cpu(
            q_BHQD, k_BGKD, v_BGKD, 0.0, causal, attn_mask=added_BHQK, scale=scale
        )
        o_BHQD = sunk(o_BHQD, lse_BHQ, sinks_H)
        lse_BHQ = torch.logaddexp(lse_BHQ, sinks_H.to(lse_BHQ.dtype).view(1, -1, 1))
        ctx.save_for_backward(q_BHQD, k_BGKD, v_BGKD, sinks_H, added_BHQK, o_BHQD, lse_BHQ)
        ctx.causal, ctx.scale = causal, scale
        return o_BHQD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (g_BHQD,) = grads
        q_BHQD, k_BGKD, v_BGKD, sinks_H, added_BHQK, o_BHQD, lse_BHQ = ctx.saved_tensors
        d_q, d_k, d_v = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            g_BHQD, q_BHQD, k_BGKD, v_BGKD, o_BHQD, lse_BHQ, 0.0, ctx.causal, attn_mask=added_BHQK, scale=ctx.scale
        )
        p_BHQ = torch.exp(sinks_H.to(lse_BHQ.dtype).view(1, -1, 1) - lse_BHQ)
        d_sinks = -(p_BHQ * torch.linalg.vecdot(g_BHQD.to(lse_BHQ.dtype), o_BHQD.to(lse_BHQ.dtype))).sum(dim=(0, 2))
        return d_q, d_k, d_v, d_sinks.to(sinks_H.dtype), None, None, None
