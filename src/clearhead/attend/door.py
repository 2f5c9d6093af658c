"""The door: every attention in every model is this one call."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead import tap
from clearhead.attend.backends import ORDER, Backend, Kernel
from clearhead.attend.mask import Mask
from clearhead.attend.request import Request
from clearhead.attend.score import SCALED, Score


def attend(
    q_BHQD: Tensor,
    k_BGKD: Tensor,
    v_BGKD: Tensor,
    *,
    mask: Mask,
    score: Score = SCALED,
    site: tap.Site,
) -> Tensor:
    """softmax(score(q, k) under mask) @ v -> o_BHQD in q's dtype (Vaswani et al. 2017, eq. 1).

    Query row i sits at key place K - Q + i; H is a multiple of G. A row that sees no key gives zeros.
    Raises RequestError naming the site, the values and the rule.
    """
    watchers = tap.watchers()
    if score.plain and not watchers and not torch.compiler.is_compiling():
        # The layers of a pass differ only in their numbers. Checking and choosing in each took 7 of the door's 10 us.
        shapes = (q_BHQD.shape, k_BGKD.shape, v_BGKD.shape, q_BHQD.dtype, k_BGKD.dtype, v_BGKD.dtype)
        strides = (q_BHQD.stride(), k_BGKD.stride(), v_BGKD.stride())
        devices = (q_BHQD.device, k_BGKD.device, v_BGKD.device)
        grads = torch.is_grad_enabled()
        key = (
            *shapes,
            *strides,
            *devices,
            score.scale,
            site.kind,
            grads,
            torch.is_autocast_enabled(q_BHQD.device.type),
        )
        kernel = mask.rendered(
            key, lambda: _kernel(Request(q_BHQD, k_BGKD, v_BGKD, mask, score, site), grads), "kernel"
        )
        if kernel is not None:
            return kernel(q_BHQD, k_BGKD, v_BGKD)
    request = Request(q_BHQD, k_BGKD, v_BGKD, mask, score, site)
    for watcher in watchers:
        request = watcher.before(request)
    backend = backend_for(request)
    o_BHQD = backend.run(request)
    for watcher in watchers:
        o_BHQD = watcher.after(request, backend.NAME, o_BHQD)
    return o_BHQD


def _kernel(request: Request, grads: bool) -> Kernel | None:
    with torch.set_grad_enabled(grads):
        return backend_for(request).prepared(request)


def backend_for(request: Request) -> Backend:
    """The first back-end that accepts the request; the reference accepts all."""
    return next(backend for backend in ORDER if not backend.refuses(request))


def explain(request: Request) -> dict[str, list[str]]:
    """Why each back-end refuses, in order of preference; the first with an empty list is used."""
    return {backend.NAME: backend.refuses(request) for backend in ORDER}
