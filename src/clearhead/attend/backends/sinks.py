"""Attention sinks for kernels that lack them: a sink rescales each row by a factor of its log-sum-exp."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

aten = torch.ops.aten


def sunk(o_BHQD: Tensor, lse_BHQ: Tensor, sinks_H: Tensor) -> Tensor:
    """Adds sinks to the output of a softmax without them: scales each row by e^lse / (e^lse + e^sink)."""
    kept_BHQ = torch.sigmoid(lse_BHQ - sinks_H.to(lse_BHQ.dtype).view(1, -1, 1))
    return (o_BHQD * kept_BHQ.unsqueeze(-1)).to(o_BHQD.dtype)


class FlashWithSinks(torch.autograd.Function):
    """PyTorch's CPU flash kernel, with sinks and their gradient; the kernel's log-sum-exp is not differentiable.

    The kernel's backward pass rebuilds each weight as exp(s - lse) and needs sum(g o) of each row (Dao 2023,
    "FlashAttention-2", algorithm 2); given an lse and outputs that include the sink, it needs no change. The sink has
    weight exp(sink - lse) and value zero, so d sink = -exp(sink - lse) sum(g o), summed over batch and query rows.
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
