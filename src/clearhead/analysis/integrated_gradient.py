"""Integrated gradients: the gradient's mean along a path, cut finer where its sum does not yet fit (completeness)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from clearhead.analysis.slopes import Prediction
from clearhead.errors import ClearheadError

TOLERANCE = 1e-3  # nats
FIRST = 4  # pieces of the path at first; more only where they are needed
POINTS = 8  # of Gauss-Legendre in each piece: exact for polynomials up to degree 15
PASSES = 4096  # gradients at most
NARROWEST = 2.0**-20  # of the path: a change within less is a jump
AT_ONCE = 512  # tokens in one pass, unless what is read has more

# Points in 0..1 and weights that sum to 1.
_NODES, _WEIGHTS = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(POINTS))
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


@dataclass(frozen=True, eq=False)
class Line:
    """Both ends of a straight path between embeddings."""

    base_TE: Tensor
    x_TE: Tensor

    def at(self, shares_N: Tensor) -> Tensor:
        """The embeddings (N, T, E) at these shares of the way."""
        shares_N11 = shares_N.to(self.x_TE)[:, None, None]
        return self.base_TE + shares_N11 * (self.x_TE - self.base_TE)


@dataclass(frozen=True, eq=False)
class Integrated:
    """The mean gradient mean_TE, log-probabilities before and after, the passes taken, and the error of the sum."""

    mean_TE: Tensor
    before: float
    logprob: float
    passes: int
    error: float


@dataclass(frozen=True, eq=False)
class _Piece:
    """Part of a path: its share of the mean gradient, and how far its sum is from the change it must explain."""

    first: float
    last: float
    mean_TE: Tensor
    error: float


def integrated(prediction: Prediction, target: int, line: Line, tolerance: float = TOLERANCE) -> Integrated:
    """The gradient of log p(target) averaged along the path (Sundararajan et al. 2017, eq. 1).

    The change of a function along any piece of a path is known without its gradient. So the error of each piece is
    known too, and the worst is halved until all together are within ``tolerance``, in nats. Evenly spaced points miss
    the change where a norm divides by a length that comes near 0: from the zero vector, in a small model with RMSNorm,
    1,000 of them are 10 nats off, and 320 points placed by halving are 0.0001 nats off.

    Raises ClearheadError if the function jumps, or if PASSES gradients are not enough.
    """
    cuts = torch.linspace(0, 1, FIRST + 1, dtype=torch.float64).tolist()
    pieces = [_piece(prediction, target, line, *ends) for ends in pairwise(cuts)]
    passes = POINTS * FIRST
    while (error := sum(abs(each.error) for each in pieces)) > tolerance:
        if passes >= PASSES:
            raise ClearheadError(
                f"integrated gradient: after {passes:,} passes the sum may still be {error:.2g} nats away, and "
                f"{tolerance:g} are allowed; take another baseline or a wider dtype (--dtype float32), or allow more"
            )
        worst = pieces.pop(max(range(len(pieces)), key=lambda n: abs(pieces[n].error)))
        if worst.last - worst.first <= NARROWEST:
            raise ClearheadError(
                f"integrated gradient: the log-probability jumps by {worst.error:.2g} nats at {worst.first:.6f} of the "
                "path, as it does where a token changes its experts, and no gradient explains a jump; take another "
                "baseline, or the plain gradient"
            )
        middle = (worst.first + worst.last) / 2
        pieces += [_piece(prediction, target, line, *ends) for ends in ((worst.first, middle), (middle, worst.last))]
        passes += 2 * POINTS
    before, after = prediction.logprobs(line.at(torch.tensor([0.0, 1.0])), target).tolist()
    mean_TE = torch.stack([each.mean_TE for each in pieces]).sum(0)
    total = float((mean_TE * (line.x_TE - line.base_TE).double()).sum())
    return Integrated(mean_TE, before, after, passes, total - (after - before))


def rows_at_once(places: int) -> int:
    """How many points of a path, each a text of so many places, go through one pass."""
    return min(POINTS, max(1, AT_ONCE // places))


def _piece(prediction: Prediction, target: int, line: Line, first: float, last: float) -> _Piece:
    shares_N = first + (last - first) * NODES
    rows = rows_at_once(len(line.x_TE))
    mean_TE = torch.zeros_like(line.x_TE, dtype=torch.float64)
    for some_N, weights_N in zip(shares_N.split(rows), WEIGHTS.split(rows), strict=True):
        _, g_NTE = prediction.slopes(line.at(some_N), target)
        mean_TE += (last - first) * (weights_N.to(g_NTE.device)[:, None, None] * g_NTE).sum(0)
    before, after = prediction.logprobs(line.at(torch.tensor([first, last], dtype=torch.float64)), target).tolist()
    explained = float((mean_TE * (line.x_TE - line.base_TE).double()).sum())
    return _Piece(first, last, mean_TE, explained - (after - before))
