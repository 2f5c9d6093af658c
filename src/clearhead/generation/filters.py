"""From logits to the next token: the filters of transformers' logits processors, written anew, and the draw."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.generation.sampling import Sampling

# A nucleus is looked for among this many of the likeliest tokens first: of 50,257 numbers the 1,024 largest are found
# in a tenth of the time that sorting all takes.
NUCLEUS = 1024


def choose(logits_BV: Tensor, sampling: Sampling, *, seen_BV: Tensor | None, uniform_B: Tensor | None) -> Tensor:
    """ids_B of the next tokens: the likeliest (the first of equals) when greedy, else drawn by ``uniform_B``.

    logits_BV in float32 or float64. ``seen_BV`` marks the tokens that the repetition penalty is for. ``uniform_B``
    are float64 numbers, at least 0 and below 1, one per text; greedy needs none.
    """
    if sampling.repetition_penalty != 1 and seen_BV is not None:
        logits_BV = penalised(logits_BV, seen_BV, sampling.repetition_penalty)
    if sampling.greedy or uniform_B is None:
        return logits_BV.max(dim=-1).indices
    return draw(filtered(logits_BV, sampling).softmax(dim=-1), uniform_B)


def filtered(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """The logits over the temperature, -inf where a filter takes the token out; at least one token is left."""
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
    """Logits of seen tokens, over the penalty where positive, else times the penalty (Keskar et al. 2019, 4.1)."""
    less_BV = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV, less_BV, logits_BV)


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """The k largest logits of each text and all that equal the smallest of them (Fan et al. 2018, 5.4)."""
    least_B1 = logits_BV.topk(min(k, logits_BV.shape[-1])).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, -torch.inf)


def keep_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """The fewest likeliest tokens that together have probability p, and all that equal the last of them.

    (Holtzman et al. 2020, 3.1.) Which of equals transformers keeps at the edge depends on its sort; here all stay.
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
    """Tokens whose probability is at least p times the largest (Nguyen et al. 2024, 3)."""
    p_BV = logits_BV.softmax(dim=-1)
    return logits_BV.masked_fill(p_BV < p * p_BV.amax(dim=-1, keepdim=True), -torch.inf)


def draw(p_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """ids_B where the running sum of the probabilities first exceeds ``uniform_B`` times the whole sum.

    One number per token instead of one per vocabulary entry (torch.multinomial: 40 times as long at 50,257). Summed
    in float64; an id of probability 0 is never drawn.
    """
    sum_BV = p_BV.cumsum(dim=-1, dtype=torch.float64)
    ids_B1 = torch.searchsorted(sum_BV, uniform_B.unsqueeze(1) * sum_BV[:, -1:], right=True)
    return ids_B1.squeeze(1).clamp(max=p_BV.shape[1] - 1)  # past the end only when the probabilities are not numbers
