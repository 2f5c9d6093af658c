"""One attention request, checked once, before any back-end sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend.mask import Knocked, Mask
from clearhead.attend.score import Score
from clearhead.errors import RequestError
from clearhead.tap import Site


@dataclass(frozen=True, eq=False)
class Request:
    """q_BHQD, k_BGKD, v_BGKD and the rules between them; H is a multiple of G (grouped heads).

    Query row i sits at key place K - Q + i. Raises RequestError naming the site, the values and the rule.
    """

    q_BHQD: Tensor
    k_BGKD: Tensor
    v_BGKD: Tensor
    mask: Mask
    score: Score
    site: Site

    def __post_init__(self) -> None:
        why = self._misfit()
        if why is not None:
            raise RequestError(f"{self.site}: {why}")

    def _misfit(self) -> str | None:
        q, k, v = self.q_BHQD, self.k_BGKD, self.v_BGKD
        if not q.dim() == k.dim() == v.dim() == 4:
            return (
                f"q, k and v have {q.dim()}, {k.dim()} and {v.dim()} axes; each must have 4: batch, head, place, width"
            )
        B, H, Q, D = q.shape
        G, K = k.shape[1], k.shape[2]
        if 0 in q.shape or 0 in k.shape or 0 in v.shape:
            return f"q is {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)}; no axis may be empty"
        if k.shape[0] != B or v.shape[0] != B:
            return f"q, k and v have {B}, {k.shape[0]} and {v.shape[0]} batch rows; the batch must be the same"
        if k.shape[3] != D:
            return f"q is {D} wide and k {k.shape[3]}; heads of queries and keys must be equally wide"
        if v.shape[1] != G or v.shape[2] != K:
            return f"k has {G} heads at {K} places, v {v.shape[1]} at {v.shape[2]}; every key needs one value"
        if H % G:
            return f"q has {H} heads, k has {G}; query heads must be a multiple of key heads"
        if not q.dtype == k.dtype == v.dtype:
            return f"q, k and v are {q.dtype}, {k.dtype} and {v.dtype}; the dtype must be the same"
        if not q.is_floating_point():
            return f"q is {q.dtype}; attention needs a floating-point dtype"
        if not q.device == k.device == v.device:
            return f"q, k and v are on {q.device}, {k.device} and {v.device}; the device must be the same"
        sinks_H, bias_HN = self.score.sinks_H, self.score.bias_HN
        placed = (part for part in self.mask.parts if not (isinstance(part, Knocked) and part.starts))
        if Q > K and (Mask(tuple(placed)).reads("Q") or bias_HN is not None):
            return (
                f"{Q} queries and {K} keys under a rule that needs the queries' places; "
                "query row i sits at key place K - Q + i, which is negative: use padding or no mask between two texts"
            )
        if sinks_H is not None and sinks_H.shape != (H,):
            return f"sinks have shape {tuple(sinks_H.shape)}; they must be ({H},), one per query head"
        if sinks_H is not None and sinks_H.device != q.device:
            return f"sinks are on {sinks_H.device}, q on {q.device}; the device must be the same"
        if bias_HN is not None and (bias_HN.dim() != 2 or bias_HN.shape[0] != H or bias_HN.shape[1] % 2 == 0):
            return (
                f"the bias has shape {tuple(bias_HN.shape)}; it must be ({H}, 2R + 1): per head, the distances -R to R"
            )
        if bias_HN is not None and bias_HN.device != q.device:
            return f"the bias is on {bias_HN.device}, q on {q.device}; the device must be the same"
        return self.mask.check(B, H, K, q.device)

    def like(self, q_BHQD: Tensor, k_BGKD: Tensor, v_BGKD: Tensor) -> Request:
        """The same request with other numbers, unchecked: checking takes 7 us, at each layer of each new token."""
        other = object.__new__(Request)
        other.__dict__.update(self.__dict__, q_BHQD=q_BHQD, k_BGKD=k_BGKD, v_BGKD=v_BGKD)
        return other

    @property
    def group(self) -> int:
        """Query heads that share one key/value head, H / G."""
        return self.q_BHQD.shape[1] // self.k_BGKD.shape[1]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype for scores and sums: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def logits(q_BHQD: Tensor, k_BGKD: Tensor, mask: Mask, score: Score, *, first_place: int) -> Tensor:
    """s_BHQK: scaled, capped, biased, -inf where hidden; float32 or wider.

    The rule of the reference kernel. Pictures apply the same score and mask, tile by tile (watching/engine.py). The
    first query sits at key place ``first_place``.
    """
    B, H, Q, D = q_BHQD.shape
    G, K = k_BGKD.shape[1], k_BGKD.shape[2]
    device, dtype = q_BHQD.device, wide(q_BHQD.dtype)
    q_BGRQD = q_BHQD.to(dtype).unflatten(1, (G, H // G))
    with torch.autocast(device.type, enabled=False):  # autocast would round this product to bfloat16
        s_BHQK = (q_BGRQD @ k_BGKD.to(dtype).unsqueeze(2).transpose(-1, -2)).flatten(1, 2) * score.factor(D)
    s_BHQK = score.capped(s_BHQK)
    if score.bias_HN is not None:
        s_BHQK = s_BHQK + score.biases(range(first_place, first_place + Q), range(K), range(H), dtype)
    b = torch.arange(B, device=device).view(-1, 1, 1, 1)
    h = torch.arange(H, device=device).view(1, -1, 1, 1)
    q = torch.arange(first_place, first_place + Q, device=device).view(1, 1, -1, 1)
    k = torch.arange(K, device=device).view(1, 1, 1, -1)
    return s_BHQK.masked_fill(~mask.visible(b, h, q, k), float("-inf")) if mask.parts else s_BHQK


def weights(s_BHQK: Tensor, sinks_H: Tensor | None) -> Tensor:
    """p_BHQK, the softmax of each row, sinks included in the denominator; zeros in a row that sees no key.

    Subtracts the row's maximum first: exp(s - lse) would be off by the rounding of lse, 1e-6 at 20 nats.
    """
    peak_BHQ1 = s_BHQK.detach().amax(dim=-1, keepdim=True)
    sinks_1H11 = None if sinks_H is None else sinks_H.to(s_BHQK.dtype).view(1, -1, 1, 1)
    if sinks_1H11 is not None:
        peak_BHQ1 = torch.maximum(peak_BHQ1, sinks_1H11.detach())
    peak_BHQ1 = peak_BHQ1.masked_fill(peak_BHQ1 == float("-inf"), 0.0)
    p_BHQK = torch.exp(s_BHQK - peak_BHQ1)
    total_BHQ1 = p_BHQK.sum(dim=-1, keepdim=True)
    if sinks_1H11 is not None:
        total_BHQ1 = total_BHQ1 + torch.exp(sinks_1H11 - peak_BHQ1)
    return p_BHQK / total_BHQ1.masked_fill(total_BHQ1 == 0.0, 1.0)
