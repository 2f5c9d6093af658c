"""From logits to the next token: the filters, with the same rules as transformers' logits processors, and the draw."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.generation.sampling import Sampling

# Top-p searches this many of the likeliest tokens first: finding the 1,024 largest of 50,257 numbers takes a tenth of
# the time of sorting them all.
NUCLEUS = 1024


def next_ids(logits_BV: Tensor, sampling: Sampling, *, seen_BV: Tensor | None, uniform_B: Tensor | None) -> Tensor:
    """ids_B of the next tokens: the likeliest (the first among equals) when greedy, else drawn with ``uniform_B``.

    logits_BV: float32 or float64
    seen_BV: True for tokens the repetition penalty applies to
    uniform_B: float64 in [0, 1), one number per batch row; not needed when greedy
    """
    if sampling.repetition_penalty != 1 and seen_BV is not None:
        logits_BV = penalised(logits_BV, seen_BV, sampling.repetition_penalty)
    if sampling.greedy or uniform_B is None:
        return largest(logits_BV)
    return draw(filtered(logits_BV, sampling).softmax(dim=-1), uniform_B)


def largest(logits_BV: Tensor) -> Tensor:
    """ids_B of the largest logits, the first among equals.

    On the CPU numpy finds them: 4 us for 50,257 numbers, where PyTorch takes 45.
    """
    if logits_BV.device.type != "cpu":
        return logits_BV.max(dim=-1).indices
    return torch.from_numpy(logits_BV.detach().numpy().argmax(axis=-1))


def filtered(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """Logits divided by the temperature, -inf where a filter removes the token; at least one token always remains."""
    if sampling.temperature != 1:
        logits_BV = logits_BV / sampling.temperature
    if sampling.top_k is not None:
        logits_BV = keep_top_k(logits_BV, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits_BV = keep_top_p(logits_BV, sampling.top_p)
    if sampling.min_p:
        logits_BV = keep_min_p(logits_BV, sampling.min_p)
    return logits_BV


def penalised(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """Divides positive logits of seen tokens by the penalty, multiplies negative ones (Keskar et al. 2019, 4.1)."""
    less_BV = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV, less_BV, logits_BV)


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Keeps the k largest logits of each batch row, ties with the smallest included (Fan et al. 2018, 5.4)."""
    least_B1 = logits_BV.topk(min(k, logits_BV.shape[-1])).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, -torch.inf)


def keep_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keeps the fewest likeliest tokens whose probabilities add up to p, ties included (Holtzman et al. 2020, 3.1).

    Which ties transformers keeps depends on its sort; here all stay.
    """
    p_BV = logits_BV.softmax(dim=-1)
    share_B1 = p * p_BV.sum(dim=-1, keepdim=True, dtype=torch.float64)
    for size in (NUCLEUS, p_BV.shape[1]):
        largest_BN = p_BV.topk(min(size, p_BV.shape[1])).values
        last_B1 = (largest_BN.cumsum(dim=-1, dtype=torch.float64) < share_B1).sum(dim=-1, keepdim=True)
        if bool((last_B1 < largest_BN.shape[1]).all()):
            break
    least_B1 = largest_BN.gather(1, last_B1.clamp(max=largest_BN.shape[1] - 1))
    return logits_BV.masked_fill(p_BV < least_B1, -torch.inf)


def keep_min_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keeps tokens whose probability is at least p times the largest (Nguyen et al. 2024, 3)."""
    p_BV = logits_BV.softmax(dim=-1)
    return logits_BV.masked_fill(p_BV < p * p_BV.amax(dim=-1, keepdim=True), -torch.inf)


def draw(p_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """ids_B where the cumulative probability first exceeds ``uniform_B`` times the total (inverse transform sampling).

    It needs one random number per token; torch.multinomial needs one per vocabulary entry and takes 40 times as long
    at 50,257. Sums are in float64; an id of probability 0 is never drawn.
    """
    sum_BV = p_BV.cumsum(dim=-1, dtype=torch.float64)
    ids_B1 = torch.searchsorted(sum_BV, uniform_B.unsqueeze(1) * sum_BV[:, -1:], right=True)
    return ids_B1.squeeze(1).clamp(max=p_BV.shape[1] - 1)  # past the end only if the probabilities are NaN
