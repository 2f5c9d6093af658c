"""Which back-end runs what on a device."""

from __future__ import annotations

import torch

from clearhead.attend.backends import token
from clearhead.attend.door import explain
from clearhead.attend.mask import causal, documents
from clearhead.attend.request import Request
from clearhead.attend.score import Score
from clearhead.tap import Site


def survey(device: str) -> dict[str, dict[str, list[str]]]:
    """``explain`` for one pass without gradients of each common kind: causal, with something more, or one new token."""
    q_BHQD = torch.zeros(1, 2, 256, 64, device=device)
    apart = documents(torch.zeros(1, 256, dtype=torch.long, device=device))
    kinds = {
        "causal": (causal(), Score()),
        "documents": (causal() & apart, Score()),
        "soft cap": (causal(), Score(softcap=30.0)),
        "sinks": (causal(), Score(sinks_H=torch.zeros(2, device=device))),
        "bias by distance": (causal(), Score(bias_HN=torch.zeros(2, 1, device=device))),
    }
    with torch.no_grad():
        found = {
            name: explain(Request(q_BHQD, q_BHQD, q_BHQD, mask, score, Site(0)))
            for name, (mask, score) in kinds.items()
        }
        for answers in found.values():
            del answers[token.NAME]  # it is for a single token only
        q_BH1D = q_BHQD[:, :, -1:].contiguous()
        return {**found, "one new token": explain(Request(q_BH1D, q_BHQD, q_BHQD, causal(), Score(), Site(0)))}
