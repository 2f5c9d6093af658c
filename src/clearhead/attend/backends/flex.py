"""FlexAttention on CUDA: compiles the rules of mask and score into one kernel, without a mask array."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, create_block_mask, flex_attention

from clearhead.attend.backends.sinks import sunk
from clearhead.attend.mask import CAUSAL, Knocked, Mask
from clearhead.attend.request import Request

NAME: str = "flex"

# Query rows per block of the kernel. With fewer (a decoding step), its block mask costs more than sdpa's array.
BLOCK_ROWS = 128


def refuses(request: Request) -> list[str]:
    """Refuses requests that are not on CUDA, that sdpa runs faster, or that FlexAttention does not support."""
    if request.q_BHQD.device.type != "cuda":
        return ["needs CUDA"]
    why: list[str] = []
    if request.q_BHQD.shape[3] < 16:
        why.append(f"heads of width {request.q_BHQD.shape[3]} are too narrow for this kernel, which needs 16")
    if request.q_BHQD.dtype == torch.float64:
        why.append("float64 is not in this kernel")
    if request.score.bias_HN is not None:
        why.append("biases by distance are not in this kernel")
    Q, K = request.q_BHQD.shape[2], request.k_BGKD.shape[2]
    mask = request.mask.needed(Q, K)
    if request.score.plain and (not mask.parts or (mask == CAUSAL and Q == K)):
        why.append("a plain or causal mask runs faster in sdpa")
    if Q < BLOCK_ROWS:
        why.append(f"{Q} queries do not fill one block of {BLOCK_ROWS} rows")
    if request.score.softcap is None and any(isinstance(part, Knocked) for part in mask.parts):
        why.append("every set of knocked-out pairs would be recompiled; sdpa takes it as an array")
    return why


def prepared(request: Request) -> None:
    """Nothing is prepared."""


def run(request: Request) -> Tensor:
    """o_BHQD from the compiled kernel, one function per kind of request."""
    if torch.compiler.is_compiling():
        return attention(request, flex_attention)  # becomes part of the graph being compiled
    from torch._dynamo.exc import FailOnRecompileLimitHit

    try:
        return attention(request, _kernel(request))
    except FailOnRecompileLimitHit:
        _KERNELS.pop(_kind(request), None)
        return attention(request, _kernel(request))


def attention(request: Request, kernel: Callable[..., Any]) -> Tensor:
    """o_BHQD from FlexAttention, compiled or eager (eager is dense, for tests)."""
    q_BHQD = request.q_BHQD
    Q, K = q_BHQD.shape[2], request.k_BGKD.shape[2]
    score, mask = request.score, request.mask.needed(Q, K)

    def score_mod(s: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score.capped(s)

    key = (NAME, q_BHQD.shape, K, q_BHQD.device)
    sinks_H = score.sinks_H
    given = kernel(
        q_BHQD,
        request.k_BGKD,
        request.v_BGKD,
        score_mod=None if score.softcap is None else score_mod,
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


# A compiled function holds 8 graphs. For a ninth, torch would only warn and run FlexAttention's dense form, of size
# heads x T x T. So each kind of request gets a function of its own, which is recompiled when full.
_KERNELS: dict[Hashable, Callable[..., Any]] = {}


def _kernel(request: Request) -> Callable[..., Any]:
    kind = _kind(request)
    if kind not in _KERNELS:
        _KERNELS[kind] = _compiled()
    return _KERNELS[kind]


def _kind(request: Request) -> Hashable:
    """Everything a graph depends on, except sequence lengths, which are dynamic."""
    q_BHQD, k_BGKD, v_BGKD = given = request.q_BHQD, request.k_BGKD, request.v_BGKD
    score, (Q, K) = request.score, (q_BHQD.shape[2], k_BGKD.shape[2])
    return (
        tuple(type(part) for part in request.mask.needed(Q, K).parts),
        (score.scale, score.softcap, score.sinks_H is None),
        (request.group, q_BHQD.shape[3], v_BGKD.shape[3], q_BHQD.dtype, q_BHQD.device),
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *(t.requires_grad for t in given)),
    )


def _compiled() -> Callable[..., Any]:
    """Compiles FlexAttention in a new function, with room for 8 graphs: torch counts graphs per code object."""
    own = FunctionType(_flex.__code__.replace(co_name="flex"), _flex.__globals__)
    # fullgraph raises at the limit; dynamic=False would make a graph for each sequence length
    return torch.compile(own, fullgraph=True)


def _flex(q_BHQD: Tensor, k_BGKD: Tensor, v_BGKD: Tensor, **options: Any) -> Any:
    plain: Callable[..., Any] = flex_attention
    return plain(q_BHQD, k_BGKD, v_BGKD, **options)
