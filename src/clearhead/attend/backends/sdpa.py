"""PyTorch's scaled_dot_product_attention: flash kernels on CPU and CUDA, grouped heads without copying."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from clearhead.attend.backends.sinks import FlashWithSinks
from clearhead.attend.mask import CAUSAL, Mask
from clearhead.attend.request import Request

NAME: str = "sdpa"

# The kernel takes a mask only as an array; 2**24 entries take 64 MB in float32.
ARRAY_LIMIT = 2**24


def refuses(request: Request) -> list[str]:
    """Refuses soft caps, sinks beside a bias or outside the CPU, and there values not as wide as keys (dense)."""
    why: list[str] = []
    score, device = request.score, request.q_BHQD.device.type
    if score.softcap is not None:
        why.append("soft caps are not in this kernel")
    if score.sinks_H is not None and device != "cpu":
        why.append(f"on {device.upper()} its kernels have no attention sinks")
    if score.sinks_H is not None and score.bias_HN is not None:
        why.append("its kernel with sinks gives a bias by distance no gradient")
    if device == "cpu" and request.v_BGKD.shape[3] != request.q_BHQD.shape[3]:
        why.append("its CPU kernel needs values as wide as keys")
    return why


def prepared(request: Request) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """The kernel with what follows from shapes, mask and score; None where these need a tensor."""
    mask, causal = _rule(request)
    if not request.score.plain or (mask.parts and not causal):
        return None
    scale, grouped = request.score.factor(request.q_BHQD.shape[3]), request.group > 1
    return partial(scaled_dot_product_attention, is_causal=causal, scale=scale, enable_gqa=grouped)


def run(request: Request) -> Tensor:
    """o_BHQD from the fused kernel; masks other than plain causal are built one block of queries at a time.

    Assumes finite queries and keys. A row whose scores are all NaN comes out NaN, with one exception: without a mask
    array and with fewer keys than fill a vector register (16 in float32 with AVX-512), PyTorch's CPU kernel finds the
    row's maximum by comparisons, which skip NaN, and returns zeros as for a row that sees no key. The row's log-sum-exp
    is then 0, which is a valid value, so this goes undetected here. Its attention map raises WatchError.

    A bias by distance is added to the mask's array. On the CPU PyTorch's fused kernel gives it no gradient; where it
    needs one, PyTorch takes its dense form, which keeps the weights for the backward pass.
    """
    B, H, Q, _ = request.q_BHQD.shape
    K = request.k_BGKD.shape[2]
    (mask, causal), biased = _rule(request), request.score.bias_HN is not None
    if not biased and (causal or not mask.parts):
        return _kernel(request, request.q_BHQD, None, causal)
    per_row = (B if mask.reads("B") else 1) * (H if mask.reads("H") or biased else 1) * K
    step = max(1, min(Q, ARRAY_LIMIT // per_row)) if mask.reads("Q") or biased else Q
    blocks = [slice(start, min(start + step, Q)) for start in range(0, Q, step)]
    # Cache for the next layer: a single block, or all of them if the backward pass keeps them anyway.
    if step == Q or request.q_BHQD.requires_grad:
        key = (NAME, step, request.q_BHQD.shape, K, request.q_BHQD.dtype, request.q_BHQD.device)
        arrays = request.mask.rendered(key, lambda: [_added(request, mask, rows) for rows in blocks])
    else:
        arrays = (_added(request, mask, rows) for rows in blocks)
    outputs = [_block(request, rows, *added) for rows, added in zip(blocks, arrays, strict=True)]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


def _rule(request: Request) -> tuple[Mask, bool]:
    """The mask that is needed, and whether it is the kernel's causal flag."""
    Q, K = request.q_BHQD.shape[2], request.k_BGKD.shape[2]
    mask = request.mask.needed(Q, K)
    return mask, mask == CAUSAL and Q == K


def _block(request: Request, rows: slice, added_BHQK: Tensor, sees_BHQ1: Tensor | None) -> Tensor:
    (_, H, Q, _), K = request.q_BHQD.shape, request.k_BGKD.shape[2]
    if request.score.bias_HN is not None:
        places = range(K - Q + rows.start, K - Q + rows.stop)
        added_BHQK = added_BHQK + request.score.biases(places, range(K), range(H), added_BHQK.dtype)
    o_BHQD = _kernel(request, request.q_BHQD[:, :, rows], added_BHQK, False)
    return o_BHQD if sees_BHQ1 is None else o_BHQD * sees_BHQ1


def _added(request: Request, mask: Mask, rows: slice) -> tuple[Tensor, Tensor | None]:
    """The additive mask (0 where visible, else -inf), and which rows see a key.

    A row that sees no key is 0/0 in some kernels and in their gradients. Here such a row sees all keys, and the second
    tensor (None if there is no such row) zeroes its output afterwards.
    """
    (B, H, Q, _), K = request.q_BHQD.shape, request.k_BGKD.shape[2]
    dtype, device = request.q_BHQD.dtype, request.q_BHQD.device
    visible_BHQK = mask.tile(rows, batch=B, heads=H, queries=Q, keys=K, device=device)
    sees_BHQ1 = visible_BHQK.any(dim=-1, keepdim=True)
    hidden_BHQK = ~visible_BHQK & sees_BHQ1
    added_BHQK = torch.zeros(hidden_BHQK.shape, dtype=dtype, device=device).masked_fill_(hidden_BHQK, -torch.inf)
    all_see = not torch.compiler.is_compiling() and bool(sees_BHQ1.all())  # a compiler cannot branch on a tensor
    return added_BHQK, None if all_see else sees_BHQ1


def _kernel(request: Request, q_BHQD: Tensor, added_BHQK: Tensor | None, causal: bool) -> Tensor:
    if request.score.sinks_H is not None:
        q, k, v = (_dense(t) for t in (q_BHQD, request.k_BGKD, request.v_BGKD))
        factor = request.score.factor(q.shape[3])
        return cast(Tensor, FlashWithSinks.apply(q, k, v, request.score.sinks_H, added_BHQK, causal, factor))
    return scaled_dot_product_attention(
        q_BHQD,
        request.k_BGKD,
        request.v_BGKD,
        attn_mask=added_BHQK,
        is_causal=causal,
        scale=request.score.factor(q_BHQD.shape[3]),
        enable_gqa=request.group > 1,
    )


def _dense(t: Tensor) -> Tensor:
    """Contiguous along the last axis: the raw kernel, called without PyTorch's checks, assumes it."""
    return t if t.stride(-1) == 1 else t.contiguous()
