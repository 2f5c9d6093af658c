"""Attention in plain Python loops and float64: the reference for every back-end and every picture.

Nothing here calls the project's own rules: each mask comes with a second definition, one cell at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clearhead.attend import (
    FULL,
    Mask,
    Request,
    Score,
    band,
    causal,
    documents,
    knockout,
    left_padding,
    padding,
    window,
)
from clearhead.attend.score import SCALED
from clearhead.tap import Site

SITE = Site(3)
BATCH, KEYS, WIDTH = 2, 11, 7  # primes, so that a swapped axis fails
GROUPINGS = [(3, 3), (6, 3), (5, 1)]  # (query heads, key heads)
QUERIES = [1, 5, KEYS]

Rule = Callable[[int, int, int, int], bool]  # (text, head, query place, key place) -> visible?


@dataclass(frozen=True)
class Case:
    """A mask and the same rule in plain Python."""

    mask: Mask
    sees: Rule
    spans: tuple[tuple[int, int], ...] = ()  # cells of each text's own places, where some are padding

    def __and__(self, other: Case) -> Case:
        def both(b: int, h: int, q: int, k: int) -> bool:
            return self.sees(b, h, q, k) and other.sees(b, h, q, k)

        spans = self.spans or other.spans
        if self.spans and other.spans:
            spans = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(self.spans, other.spans, strict=True))
        return Case(self.mask & other.mask, both, spans)

    def own(self, p_QK: np.ndarray, text: int) -> np.ndarray:
        """A text's weights without padding: what its map must be."""
        (Q, K) = p_QK.shape
        start, stop = self.spans[text] if self.spans else (0, K)
        rows = [i for i in range(Q) if start <= K - Q + i < stop]
        return p_QK[rows][:, start:stop]


def case_padding(lengths: Sequence[int]) -> Case:
    spans = tuple((0, length) for length in lengths)
    return Case(padding(torch.tensor(lengths)), lambda b, h, q, k: k < lengths[b], spans)


def case_left_padding(starts: Sequence[int]) -> Case:
    spans = tuple((start, KEYS) for start in starts)
    return Case(left_padding(torch.tensor(starts)), lambda b, h, q, k: k >= starts[b], spans)


def case_documents(ids: Sequence[Sequence[int]]) -> Case:
    return Case(documents(torch.tensor(ids)), lambda b, h, q, k: ids[b][q] == ids[b][k])


def case_window(size: int) -> Case:
    return Case(window(size), lambda b, h, q, k: q - k < size)


def case_band(size: int) -> Case:
    return Case(band(size), lambda b, h, q, k: -size < q - k < size)


def case_knockout(pairs: Sequence[tuple[int, int]], head: int | None = None) -> Case:
    return Case(knockout(pairs, head), lambda b, h, q, k: (q, k) not in pairs or (head is not None and h != head))


CAUSAL = Case(causal(), lambda b, h, q, k: k <= q)
PAIRS = [(10, 3), (10, 10), (7, 0), (2, 1), (0, 0)]
DOCUMENTS = case_documents([[4, 4, 4, 1, 1, 1, 1, 9, 9, 9, 9], [0, 0, 0, 0, 0, 0, 0, 2, 2, -1, -1]])

MASKS: dict[str, Case] = {
    "full": Case(FULL, lambda b, h, q, k: True),
    "causal": CAUSAL,
    "window": case_window(3),
    "causal & window": CAUSAL & case_window(3),
    "causal & window of 1": CAUSAL & case_window(1),
    "band": case_band(3),
    "band & padding right": case_band(2) & case_padding([4, 11]),
    "padding right": case_padding([7, 11]),
    "padding right, one text empty": case_padding([0, 4]),
    "causal & padding right": CAUSAL & case_padding([7, 11]),
    "padding left": CAUSAL & case_left_padding([0, 5]),
    "padding left, one text empty": CAUSAL & case_left_padding([11, 2]),
    "documents": DOCUMENTS,
    "causal & documents": CAUSAL & DOCUMENTS,
    "knock-out": CAUSAL & case_knockout(PAIRS),
    "knock-out in one head": case_knockout(PAIRS, head=2),
    "knock-out of all that is seen": CAUSAL & case_window(1) & case_knockout([(10, 10), (0, 0)], head=1),
    "all joined": CAUSAL & case_window(5) & case_padding([9, 11]) & DOCUMENTS & case_knockout(PAIRS, head=2),
}


@dataclass(frozen=True)
class Rules:
    """A score in plain numbers."""

    scale: float | None = None
    softcap: float | None = None
    sinks: bool = False
    bias: bool = False

    def sink_logits(self, heads: int) -> list[float] | None:
        return [float(np.float32(1.3 - 0.9 * h)) for h in range(heads)] if self.sinks else None

    def score(self, heads: int) -> Score:
        sinks = self.sink_logits(heads)
        sinks_H = None if sinks is None else torch.tensor(sinks)
        biases = [[bias(head, away) for away in range(-FAR, FAR + 1)] for head in range(heads)]
        bias_HN = torch.tensor(biases, dtype=torch.float64) if self.bias else None
        return Score(scale=self.scale, softcap=self.softcap, sinks_H=sinks_H, bias_HN=bias_HN)


FAR = 3  # the distance from which on keys share a bias


def bias(head: int, away: int) -> float:
    """What is added to the logit of a key ``away`` places after its query; a bfloat16."""
    away = max(-FAR, min(FAR, away))
    return (away * (head - 1.5) - away * away / 4) / 4


SCORES: dict[str, Rules] = {
    "plain": Rules(),
    "scale": Rules(scale=0.61),
    "soft cap": Rules(softcap=2.5),
    "sinks": Rules(sinks=True),
    "all": Rules(scale=0.61, softcap=2.5, sinks=True),
    "bias": Rules(scale=1.0, bias=True),
    "all with bias": Rules(scale=0.61, softcap=2.5, sinks=True, bias=True),
}


def tensors(
    heads: int, groups: int, queries: int, *, batch: int = BATCH, keys: int = KEYS, width: int = WIDTH, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """q_BHQD, k_BGKD, v_BGKD in float64; every number is a bfloat16, so that all dtypes start from the same."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, queries, width), (batch, groups, keys, width), (batch, groups, keys, width)]
    q, k, v = (torch.randn(shape, generator=generator).mul(1.5).bfloat16().double() for shape in shapes)
    return q, k, v


def request(q: Tensor, k: Tensor, v: Tensor, mask: Mask = FULL, score: Score | None = None) -> Request:
    return Request(q, k, v, mask, score or SCALED, SITE)


def logit(q_D: np.ndarray, k_D: np.ndarray, rules: Rules) -> float:
    """One cell before the softmax."""
    s = math.fsum(float(a) * float(b) for a, b in zip(q_D, k_D, strict=True))
    s = s / math.sqrt(len(q_D)) if rules.scale is None else s * rules.scale
    return s if rules.softcap is None else rules.softcap * math.tanh(s / rules.softcap)


def weights(q_BHQD: Tensor, k_BGKD: Tensor, sees: Rule, rules: Rules = SCORES["plain"]) -> np.ndarray:
    """p_BHQK by the definition, one cell at a time."""
    q, k = q_BHQD.numpy(), k_BGKD.numpy()
    (B, H, Q, _), (_, G, K, _) = q.shape, k.shape
    sinks = rules.sink_logits(H)
    p = np.zeros((B, H, Q, K))
    for b in range(B):
        for h in range(H):
            for i in range(Q):
                place = K - Q + i
                logits = {j: logit(q[b, h, i], k[b, h * G // H, j], rules) for j in range(K) if sees(b, h, place, j)}
                if not logits:
                    continue
                if rules.bias:
                    logits = {j: s + bias(h, j - place) for j, s in logits.items()}
                total = sum(math.exp(s) for s in logits.values()) + (math.exp(sinks[h]) if sinks else 0.0)
                for j, s in logits.items():
                    p[b, h, i, j] = math.exp(s) / total
    return p


def outputs(p_BHQK: np.ndarray, v_BGKD: Tensor) -> np.ndarray:
    """o_BHQD: each query's weighted sum of its group's values."""
    v = v_BGKD.numpy()
    H, G = p_BHQK.shape[1], v.shape[1]
    return np.stack([p_BHQK[:, h] @ v[:, h * G // H] for h in range(H)], axis=1)


def assert_same(found_BHQD: Tensor, expected_BHQD: Tensor, asked: Request) -> None:
    """Asserts equal outputs, except for the order of sums.

    A sum of n products is off by at most n eps times the sum of their sizes (Higham 2002, eq. 3.5), another order of it
    by as much again: D products in a logit, by whose error a weight is multiplied; K weights and values in an output.
    """
    D, K = asked.q_BHQD.shape[-1], asked.k_BGKD.shape[2]
    q_BHQD, k_BGKD, v_BGKD = (t.double().abs() for t in (asked.q_BHQD, asked.k_BGKD, asked.v_BGKD))
    k_BHKD = k_BGKD.repeat_interleave(q_BHQD.shape[1] // k_BGKD.shape[1], dim=1)
    logit = float((q_BHQD @ k_BHKD.mT).max()) / math.sqrt(D)
    rounding = 2 * (D * logit + K) * torch.finfo(expected_BHQD.dtype).eps
    torch.testing.assert_close(found_BHQD, expected_BHQD, rtol=0, atol=rounding * float(v_BGKD.max()))


class Watched:
    """The smallest thing that can be watched: one attention site per entry, and the projections of their outputs."""

    def __init__(self, sites: dict[Site, int], projections: dict[Site, Tensor] | None = None) -> None:
        self._sites, self._projections = sites, projections or {}

    def projections(self) -> dict[Site, Tensor]:
        return self._projections

    def sites(self) -> dict[Site, int]:
        return self._sites
