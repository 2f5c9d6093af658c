"""FlexAttention on CUDA: the mask's and the score's own rules compiled into one kernel, without arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, create_block_mask, flex_attention

from clearhead.attend.backends.sinks import sunk
from clearhead.attend.mask import CAUSAL, Knocked, Mask
from clearhead.attend.request import Request

NAME: str = "flex"

# Rows in one block of the kernel; its block mask costs more than sdpa's array for fewer queries (a decoding step).
BLOCK_ROWS = 128


def refuses(request: Request) -> list[str]:
    """Reasons: not on CUDA, nothing that needs it, or an option FlexAttention does not have."""
    if request.q_BHQD.device.type != "cuda":
        return [f"it runs on CUDA; the tensors are on {request.q_BHQD.device.type}"]
    why: list[str] = []
    if request.q_BHQD.shape[3] < 16:
        why.append(f"heads of width {request.q_BHQD.shape[3]} are too narrow for this kernel, which needs 16")
    if request.q_BHQD.dtype == torch.float64:
        why.append("float64 is not in this kernel")
    if request.dropout:
        why.append("dropout is not in this kernel")
    Q, K = request.q_BHQD.shape[2], request.k_BGKD.shape[2]
    mask = request.mask.needed(Q, K)
    if request.score.plain and (not mask.parts or (mask == CAUSAL and Q == K)):
        why.append("a plain or causal mask runs faster in sdpa")
    if Q < BLOCK_ROWS:
        why.append(f"{Q} queries do not fill one block of {BLOCK_ROWS} rows")
    if request.score.softcap is None and any(isinstance(part, Knocked) for part in mask.parts):
        why.append("every set of knocked-out pairs would be compiled anew; sdpa takes it as an array")
    return why


def run(request: Request) -> Tensor:
    """o_BHQD by the compiled kernel."""
    return attention(request, _compiled())


def attention(request: Request, kernel: Callable[..., Any]) -> Tensor:
    """o_BHQD by FlexAttention, given its compiled or eager form (the eager one is dense, for tests)."""
    q_BHQD = request.q_BHQD
    Q, K = q_BHQD.shape[2], request.k_BGKD.shape[2]
    before = K - Q
    score, mask = request.score, request.mask.needed(Q, K)

    def score_mod(s: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score.apply(s, h, q + before, k)

    key = (NAME, q_BHQD.shape, K, q_BHQD.device)
    sinks_H = score.sinks_H
    given = kernel(
        q_BHQD,
        request.k_BGKD,
        request.v_BGKD,
        score_mod=None if score.softcap is None and score.slopes_H is None else score_mod,
        block_mask=mask.rendered(key, lambda: _block_mask(request, mask)) if mask.parts else None,
        scale=score.factor(q_BHQD.shape[3]),
        enable_gqa=request.group > 1,
        return_aux=None if sinks_H is None else AuxRequest(lse=True),
    )
    if sinks_H is None:
        return given
    o_BHQD, aux = given
    return sunk(o_BHQD, aux.lse, sinks_H)


def _block_mask(request: Request, mask: Mask) -> BlockMask:
    B, H, Q, _ = request.q_BHQD.shape
    K = request.k_BGKD.shape[2]

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return mask.visible(b, h, q + (K - Q), k)

    batch, heads = B if mask.reads("B") else None, H if mask.reads("H") else None
    return create_block_mask(mask_mod, batch, heads, Q, K, device=request.q_BHQD.device)


@functools.cache
def _compiled() -> Callable[..., Any]:
    # not dynamic=False: the ninth text length would pass the compiler's limit and run the dense form without a word
    return torch.compile(flex_attention)
