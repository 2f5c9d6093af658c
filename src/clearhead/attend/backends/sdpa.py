"""PyTorch's scaled_dot_product_attention: flash kernels on CPU and CUDA, grouped heads without copies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from clearhead.attend.mask import CAUSAL, Mask
from clearhead.attend.request import Request, wide

NAME: str = "sdpa"

# The kernel takes a mask only as an array of numbers; 2**24 of them are 64 MB in float32.
ARRAY_LIMIT = 2**24


def refuses(request: Request) -> list[str]:
    """Reasons: soft caps and sinks are not in the kernel; with dropout the CPU falls back to a T x T product."""
    why: list[str] = []
    if request.score.softcap is not None:
        why.append("soft caps are not in this kernel")
    if request.score.sinks_H is not None:
        why.append("attention sinks are not in this kernel")
    if request.dropout and request.q_BHQD.device.type == "cpu":
        why.append("its CPU kernel has no dropout")
    return why


def run(request: Request) -> Tensor:
    """o_BHQD by the fused kernel; masks beyond plain causal are built for one block of queries at a time."""
    B, H, Q, _ = request.q_BHQD.shape
    K = request.k_BGKD.shape[2]
    mask = request.mask.needed(Q, K)
    causal = mask == CAUSAL and Q == K
    if request.score.slopes_H is None and (causal or not mask.parts):
        return _kernel(request, request.q_BHQD, None, causal)
    per_row = (B if mask.parts else 1) * (1 if request.score.slopes_H is None else H) * K
    rows = max(1, min(Q, ARRAY_LIMIT // per_row))
    blocks = [_block(request, mask, slice(start, min(start + rows, Q))) for start in range(0, Q, rows)]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)


def _block(request: Request, mask: Mask, rows: slice) -> Tensor:
    q_BHQD, K = request.q_BHQD, request.k_BGKD.shape[2]
    key = (NAME, rows.start, rows.stop, q_BHQD.shape, K, q_BHQD.dtype, q_BHQD.device, id(request.score))
    added_BHQK, sees_BHQ1 = mask.rendered(key, lambda: _added(request, rows))
    o_BHQD = _kernel(request, q_BHQD[:, :, rows], added_BHQK, False)
    return o_BHQD if sees_BHQ1 is None else o_BHQD * sees_BHQ1


def _added(request: Request, rows: slice) -> tuple[Tensor, Tensor | None]:
    """What the kernel adds to its logits (0 or the bias where visible, else -inf), and which rows see a key.

    A row without keys is 0/0 in some kernels and in their gradients: here it sees all keys, and the second tensor
    (None when there is no such row) zeroes it afterwards.
    """
    (B, H, Q, _), K = request.q_BHQD.shape, request.k_BGKD.shape[2]
    dtype, device, score = request.q_BHQD.dtype, request.q_BHQD.device, request.score
    visible_BHQK = request.mask.tile(rows, batch=B, heads=H, queries=Q, keys=K, device=device)
    sees_BHQ1 = visible_BHQK.any(dim=-1, keepdim=True)
    h = torch.arange(H, device=device).view(1, -1, 1, 1)
    q = torch.arange(rows.start, rows.stop, device=device).view(1, 1, -1, 1) + (K - Q)
    k = torch.arange(K, device=device).view(1, 1, 1, -1)
    bias = score.apply(torch.zeros((), dtype=wide(dtype), device=device), h, q, k)
    hidden_BHQK = ~visible_BHQK & sees_BHQ1
    added_BHQK = bias.expand(torch.broadcast_shapes(bias.shape, hidden_BHQK.shape)).masked_fill(hidden_BHQK, -torch.inf)
    return added_BHQK.to(dtype), None if sees_BHQ1.all() else sees_BHQ1


def _kernel(request: Request, q_BHQD: Tensor, added_BHQK: Tensor | None, causal: bool) -> Tensor:
    return scaled_dot_product_attention(
        q_BHQD,
        request.k_BGKD,
        request.v_BGKD,
        attn_mask=added_BHQK,
        dropout_p=request.dropout,
        is_causal=causal,
        scale=request.score.factor(q_BHQD.shape[3]),
        enable_gqa=request.group > 1,
    )
