"""A query of each of a few rows on a processor: a kernel in C, whose calls can be recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from clearhead.attend.mask import Causal, Mask, Window
from clearhead.attend.request import Request
from clearhead.native import library, token

NAME: str = "token"


def refuses(request: Request) -> list[str]:
    """Refuses gradients, other devices, many rows, biases, and masks besides causal ones and windows.

    Rows are those of a batch with one query each, or the queries of one text that all see the whole source.
    """
    q, k, v, score = request.q_BHQD, request.k_BGKD, request.v_BGKD, request.score
    why: list[str] = []
    one = q.shape[2] == 1 or (q.shape[0] == 1 and request.site.kind == "cross" and not request.mask.parts)
    if not one or q.shape[0] * q.shape[2] > token.ROWS:
        why.append(f"takes a single query, in up to {token.ROWS} rows")
    elif q.is_cpu and not torch.compiler.is_compiling() and library() is None:
        why.append("is not compiled here")
    elif not token.attends(q, score.sinks_H):
        why.append("works without gradients on a processor, in 32 or 16 bits")
    if q.shape[3] % token.LANES or v.shape[3] != q.shape[3]:
        why.append(
            f"heads are {q.shape[3]} wide and values {v.shape[3]}; both must be the same multiple of {token.LANES}"
        )
    if not _in_rows(k) or k.stride() != v.stride():
        why.append("keys and values of a group are not one row after another")
    if score.bias_HN is not None:
        why.append("biases by distance are not in this kernel")
    if any(not isinstance(part, Causal | Window) for part in request.mask.parts):
        why.append("the mask has more than causal parts and windows")
    return why


def run(request: Request) -> Tensor:
    """o_BHQD."""
    return prepared(request)(request.q_BHQD, request.k_BGKD, request.v_BGKD)


def prepared(request: Request) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The kernel with what follows from shapes, mask and score."""
    score = request.score
    return partial(
        token.attend,
        scale=score.factor(request.q_BHQD.shape[3]),
        softcap=score.softcap,
        sinks_H=score.sinks_H,
        window=_window(request.mask),
        grows=request.site.kind == "self",
    )


def _window(mask: Mask) -> int:
    return min((part.size for part in mask.parts if isinstance(part, Window)), default=0)


def _in_rows(t_BGKD: Tensor) -> bool:
    return t_BGKD.stride(3) == 1 and t_BGKD.stride(2) == t_BGKD.shape[3]
