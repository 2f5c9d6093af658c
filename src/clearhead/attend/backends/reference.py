"""The definition, written out: float32 or wider, a block of query rows at a time. Slow, exact, never refuses."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.attend.request import Request, logits, weights

NAME: str = "reference"

# Weights in memory at once, over all heads and batch rows: 2**24 take 64 MB in float32. (Autograd keeps them all.)
BLOCK = 2**24


def refuses(request: Request) -> list[str]:
    """Never refuses: the other kernels are tested against this one."""
    return []


def prepared(request: Request) -> None:
    """Nothing is prepared."""


def run(request: Request) -> Tensor:
    """softmax(score(q, k) under mask) @ v -> o_BHQD in q's dtype (Vaswani et al. 2017, eq. 1).

    A row that sees no key gives zeros.
    """
    B, H, Q, _ = request.q_BHQD.shape
    step = max(1, BLOCK // (B * H * request.k_BGKD.shape[2]))
    outputs = [_rows(request, slice(start, start + step)) for start in range(0, Q, step)]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


def _rows(request: Request, rows: slice) -> Tensor:
    q_BHQD, k_BGKD, v_BGKD = request.q_BHQD, request.k_BGKD, request.v_BGKD
    first_place = k_BGKD.shape[2] - q_BHQD.shape[2] + rows.start
    s_BHQK = logits(q_BHQD[:, :, rows], k_BGKD, request.mask, request.score, first_place=first_place)
    p_BHQK = weights(s_BHQK, request.score.sinks_H)
    p_BGRQK = p_BHQK.unflatten(1, (-1, request.group))
    with torch.autocast(q_BHQD.device.type, enabled=False):
        return (p_BGRQK @ v_BGKD.to(p_BHQK.dtype).unsqueeze(2)).flatten(1, 2).to(q_BHQD.dtype)
