"""FlexAttention on CUDA: the mask's and the score's own rules compiled into one kernel, without arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from clearhead.attend.mask import CAUSAL, Mask
from clearhead.attend.request import Request

NAME: str = "flex"


def refuses(request: Request) -> list[str]:
    """Reasons: not on CUDA, nothing that needs it, or an option FlexAttention does not have."""
    why: list[str] = []
    if request.q_BHQD.device.type != "cuda":
        why.append(f"it runs on CUDA; the tensors are on {request.q_BHQD.device.type}")
    if request.q_BHQD.dtype == torch.float64:
        why.append("float64 is not in this kernel")
    if request.dropout:
        why.append("dropout is not in this kernel")
    if request.score.sinks_H is not None:
        why.append("attention sinks are not in this kernel")
    Q, K = request.q_BHQD.shape[2], request.k_BGKD.shape[2]
    mask = request.mask.needed(Q, K)
    if request.score.plain and (not mask.parts or (mask == CAUSAL and Q == K)):
        why.append("a plain or causal mask runs faster in sdpa")
    return why


def run(request: Request) -> Tensor:
    """o_BHQD by the compiled kernel."""
    return attention(request, _compiled())


def attention(request: Request, kernel: Callable[..., Tensor]) -> Tensor:
    """o_BHQD by FlexAttention, given its compiled or eager form (the eager one is dense, for tests)."""
    q_BHQD = request.q_BHQD
    Q, K = q_BHQD.shape[2], request.k_BGKD.shape[2]
    before = K - Q
    score, mask = request.score, request.mask.needed(Q, K)

    def score_mod(s: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score.apply(s, h, q + before, k)

    key = (NAME, q_BHQD.shape, K, q_BHQD.device)
    return kernel(
        q_BHQD,
        request.k_BGKD,
        request.v_BGKD,
        score_mod=None if score.plain else score_mod,
        block_mask=mask.rendered(key, lambda: _block_mask(request, mask)) if mask.parts else None,
        scale=score.factor(q_BHQD.shape[3]),
        enable_gqa=request.group > 1,
    )


def _block_mask(request: Request, mask: Mask) -> BlockMask:
    B, H, Q, _ = request.q_BHQD.shape
    K = request.k_BGKD.shape[2]

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return mask.visible(b, h, q + (K - Q), k)

    return create_block_mask(mask_mod, B, H, Q, K, device=request.q_BHQD.device)


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    return torch.compile(flex_attention, dynamic=False)
