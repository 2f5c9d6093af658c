"""Beam search: the likeliest continuations, several of each text kept side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from clearhead.attend import wide
from clearhead.errors import NotFiniteError
from clearhead.generation.forced import Forced
from clearhead.model import Network, State, evaluating, log_probabilities
from clearhead.tap import rows

NEVER = -1e9  # the score of a beam that does not exist

EarlyStopping = bool | Literal["never"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished continuation. logprob: the sum of its tokens', in nats; score: logprob / length ** length_penalty.

    ended: its last id is an end token
    complete: that token was not forced by the limit
    """

    ids: tuple[int, ...]
    logprob: float
    score: float
    ended: bool
    complete: bool


class BeamSearch:
    """Beam search over a batch of texts that start with the same number of tokens (Sutskever et al. 2014, 3.2).

    The rules are transformers'. Of the ``2 * beams`` likeliest continuations of a text's beams (with n end tokens, the
    ``(n + 1) * beams`` likeliest), those that end and are among the first ``beams`` are finished; the best ``beams``
    others go on. A text is done when it has ``beams`` finished ones and the best of its running beams, if it ended now,
    would score no better. One beam is greedy: a text is done when the likeliest token ends it.

    start: the ids that every text starts with
    state: the generation state, with ``beams`` rows for each of ``texts`` texts
    limits: the most new tokens of each text
    forbid: (logprobs_RV, the new ids of each row): sets those of ids that may not come next to -inf
    early_stopping: True: a text is done as soon as it has ``beams`` finished ones; "never": if the length penalty is
        above 0, its running beams are scored as if they ended at the limit
    forced: the tokens in fixed places; None = none
    numbers: the texts' numbers in records, which all beams of a text then share; None: each beam is a text
    """

    def __init__(
        self,
        network: Network,
        start: Sequence[int],
        state: State,
        *,
        texts: int,
        beams: int,
        length_penalty: float,
        ends: frozenset[int],
        limits: Sequence[int],
        forbid: Callable[[Tensor, list[list[int]]], None],
        early_stopping: EarlyStopping = False,
        forced: Forced | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self._network, self._state, self._forbid = network, state, forbid
        self._beams, self._penalty, self._ends = beams, length_penalty, ends
        self._early, self._forced, self._numbers = early_stopping, forced or Forced(), numbers
        self._limits = list(limits)
        self._next_RT = torch.tensor([start], device=network.device).expand(texts * beams, -1)
        self._texts = list(range(texts))  # the text of each group of rows
        self._new: list[list[int]] = [[] for _ in range(texts * beams)]  # the new ids of each row
        self._scores = [[0.0] + [NEVER] * (beams - 1) for _ in range(texts)]
        self._finished: list[list[Hypothesis]] = [[] for _ in range(texts)]

    def run(self) -> list[list[Hypothesis]]:
        """The finished continuations of every text, best first."""
        with torch.inference_mode(), evaluating(self._network):
            while self._texts:
                self._step()
        return self._finished

    def _step(self) -> None:
        shared = None if self._numbers is None else [self._numbers[text] for text in self._texts]
        with nullcontext() if shared is None else rows([text for text in shared for _ in range(self._beams)]):
            logits_RV = self._network(self._next_RT, state=self._state, last=True)[:, -1]
        logprobs_RV = log_probabilities(logits_RV.to(wide(logits_RV.dtype)))
        self._forbid(logprobs_RV, self._new)
        K, V = self._beams, logprobs_RV.shape[1]
        for group, text in enumerate(self._texts):
            if (only := self._forced.at(len(self._new[0]) + 1, self._limits[text])) is not None:
                logprobs_RV[group * K : group * K + K] = -math.inf
                logprobs_RV[group * K : group * K + K, only] = 0.0
        scores_BK = _tensor(self._scores, np.float64, logprobs_RV).to(logprobs_RV.dtype)
        sums_BN = logprobs_RV.view(-1, K, V).add_(scores_BK[:, :, None]).view(-1, K * V)
        best_BC, which_BC = sums_BN.topk(min(max(2, 1 + len(self._ends)) * K, sums_BN.shape[1]), dim=1)
        kept: list[int] = []
        texts: list[int] = []
        scores: list[list[float]] = []
        new: list[list[int]] = []
        beams_BC, tokens_BC = which_BC // V, which_BC % V
        every = zip(self._texts, best_BC.tolist(), beams_BC.tolist(), tokens_BC.tolist(), strict=True)
        for group, (text, sums, beams, tokens) in enumerate(every):
            if math.isnan(sums[0]):  # the largest, if there is any: of a row whose logits are not finite, all are
                raise NotFiniteError(self._state.length)
            going = self._continued(text, group, sums, beams, tokens)
            if going:
                texts.append(text)
                scores.append([score for score, _, _ in going])
                kept += [group * K + beam for _, beam, _ in going]
                new += [[*self._new[group * K + beam], token] for _, beam, token in going]
        self._texts, self._scores, self._new = texts, scores, new
        if texts:
            if kept != list(range(len(self._next_RT))):
                self._state.select(_tensor(kept, np.int64, logprobs_RV), 0)
            self._next_RT = _tensor([ids[-1] for ids in new], np.int64, logprobs_RV)[:, None]

    def _continued(
        self, text: int, group: int, sums: Sequence[float], beams: Sequence[int], tokens: Sequence[int]
    ) -> list[tuple[float, int, int]]:
        """The beams of a text that go on: score, beam and token of each; none if the text is done."""
        K, finished = self._beams, self._finished[text]
        length, limit = len(self._new[0]) + 1, self._limits[text]
        running = list(zip(sums, beams, tokens, strict=True))
        # Usually no candidate ends here, and the best ones simply go on.
        if length == limit or sums[K - 1] <= NEVER or not self._ends.isdisjoint(tokens[:K]):
            running = self._finish(text, group, running, full=length == limit)
        running = running[:K]
        enough = len(finished) == K
        at_once = K == 1 or self._early is True
        hoped = limit if self._early == "never" and self._penalty > 0 else length
        if not running or (enough and (at_once or running[0][0] / hoped**self._penalty <= finished[-1].score)):
            return []
        return running + [(NEVER, running[0][1], running[0][2])] * (K - len(running))

    def _finish(
        self, text: int, group: int, candidates: Sequence[tuple[float, int, int]], *, full: bool
    ) -> list[tuple[float, int, int]]:
        """Keeps what ends, at the limit everything, as finished. Returns the candidates that go on."""
        finished, running = self._finished[text], list[tuple[float, int, int]]()
        length, chosen = len(self._new[0]) + 1, not full or self._forced.last is None
        for rank, (logprob, beam, token) in enumerate(candidates):
            if logprob <= NEVER:
                continue
            if not full and token not in self._ends:
                running.append((logprob, beam, token))
            elif rank < self._beams:
                ids = (*self._new[group * self._beams + beam], token)
                score, ended = logprob / length**self._penalty, token in self._ends
                finished.append(Hypothesis(ids, logprob, score, ended=ended, complete=ended and chosen))
        finished.sort(key=lambda each: -each.score)  # stable: ties keep their order
        del finished[self._beams :]
        return running


def _tensor(values: Sequence[Any], dtype: type[np.generic], like: Tensor) -> Tensor:
    """The values on the device of ``like``; through numpy, as torch.tensor takes five times as long for lists."""
    return torch.from_numpy(np.array(values, dtype=dtype)).to(like.device)
