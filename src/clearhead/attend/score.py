"""From query-key products to attention logits: one rule for kernels and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from clearhead.errors import RequestError, shown


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """s = cap(q.k * scale) + bias, with an optional sink in the denominator.

    scale: factor on q.k, above 0; None = 1/sqrt(D) (Vaswani et al. 2017, eq. 1)
    softcap: c in c * tanh(s / c), in logits, above 0 (Gemma 2, 2024, 2.1); None = none
    sinks_H: one logit per head that takes weight but has no value (GPT-OSS, 2025); None = none
    bias_HN: added to a head's logits by the distance from the query's place to the key's, -R to R, so N = 2R + 1;
        farther keys get the bias of the nearer end (Raffel et al. 2020, 2.1); None = none
    """

    scale: float | None = None
    softcap: float | None = None
    sinks_H: Tensor | None = None
    bias_HN: Tensor | None = None

    def __post_init__(self) -> None:
        for name, value, none in (("scale", self.scale, "1/sqrt(D)"), ("softcap", self.softcap, "no cap")):
            # a scale of 0 or infinity gives 0 * inf or inf - inf in some kernels, and some turn NaN into zeros
            if value is not None and not (isinstance(value, Real) and 0.0 < value < math.inf):
                raise RequestError(
                    f"score: {name} is {shown(value)}; it must be a number above 0 and finite, or None for {none}"
                )

    def factor(self, head_width: int) -> float:
        """The scale used for heads of this width."""
        return self.scale if self.scale is not None else 1.0 / math.sqrt(head_width)

    @property
    def plain(self) -> bool:
        """True when only a scale is set, which every kernel supports."""
        return self.softcap is None and self.sinks_H is None and self.bias_HN is None

    def copied(self) -> Score:
        """A copy with its own sinks, which training does not change; each pass computes its bias anew."""
        if self.sinks_H is None and self.bias_HN is None:
            return self
        sinks_H, bias_HN = self.sinks_H, self.bias_HN
        return replace(
            self,
            sinks_H=None if sinks_H is None else sinks_H.detach().clone(),
            bias_HN=None if bias_HN is None else bias_HN.detach(),
        )

    def capped(self, s: Tensor) -> Tensor:
        """Scaled products -> logits without their bias, elementwise."""
        return s if self.softcap is None else self.softcap * torch.tanh(s / self.softcap)

    def biases(self, queries: range, keys: range, heads: range, dtype: torch.dtype) -> Tensor:
        """bias_HQK between these places. Only for a score with a bias.

        All cells of a diagonal have the same distance, so each row is a part of one line of Q + K - 1 numbers.
        """
        assert self.bias_HN is not None
        reach = self.bias_HN.shape[1] // 2
        first, last = keys.start - queries.stop + 1, keys.stop - queries.start
        away_M = torch.arange(first, last, device=self.bias_HN.device).clamp(-reach, reach)
        line_HM = self.bias_HN[heads.start : heads.stop].to(dtype)[:, away_M + reach]
        return line_HM.unfold(1, len(keys), 1).flip(1)


SCALED = Score()
