"""A head's matrices (D, E) as thin factors in float64, with the norms around them folded in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from clearhead.analysis.matrices import columns_of, projections
from clearhead.model import Network
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.norms import Norm
from clearhead.model.parts.stream import Adds
from clearhead.products import product

Map = Callable[[Tensor], Tensor]


def value(part: Attention, step: Adds, head: int) -> Tensor:
    """W_V (D, E) of the head's group, with the norm in front folded in."""
    return before(step.before, projections(part, head)[0]["value"].double())


def out(part: Attention, step: Adds, head: int) -> Tensor:
    """W_O (E, D) of the head, with a norm on the attention's output folded in, if there is one."""
    out_ED = part.out.matrix.detach()[:, columns_of(part, head)].double()
    return out_ED if step.after is None else after(step.after, out_ED)


def query_and_key(
    network: Network, part: Attention, step: Adds, head: int, distance: int
) -> tuple[Tensor, Tensor, bool]:
    """W_Q and W_K (D, E), for a query ``distance`` places after its key, and whether they are rotated."""
    matrices, _ = projections(part, head)
    query_DE, key_DE = (before(step.before, matrices[name].double()) for name in ("query", "key"))
    query_D, key_D = _head_weights(part, head)
    query_DE, key_DE = query_DE * query_D[:, None], key_DE * key_D[:, None]
    low = min(0, distance)
    places_12 = torch.tensor([[distance - low, -low]], device=query_DE.device)
    turn = network.turn(step.layer, places_12)
    if turn is None:
        return query_DE, key_DE, False
    both_1E2D = torch.stack((query_DE.mT, key_DE.mT))  # (2, E, D): each at its place, rows of E as if they were heads
    query_ED, key_ED = turn(both_1E2D[None])[0]
    return query_ED.mT, key_ED.mT, True


def before(norm: nn.Module | None, weight_DE: Tensor) -> Tensor:
    """W diag(w), centred if the norm is: W after the norm, for a token of root mean square 1."""
    if not isinstance(norm, Norm):
        return _unchanged(norm, weight_DE)
    weight_DE = weight_DE * norm.factors()
    return weight_DE - weight_DE.mean(-1, keepdim=True) if norm.centred else weight_DE


def after(norm: Map, weight_ED: Tensor) -> Tensor:
    """diag(w) W, centred before it if the norm is: the norm after W."""
    if not isinstance(norm, Norm):
        return _unchanged(norm, weight_ED)
    if norm.centred:
        weight_ED = weight_ED - weight_ED.mean(-2, keepdim=True)
    return weight_ED * norm.factors()[:, None]


def _unchanged(norm: Map | None, weight: Tensor) -> Tensor:
    """The weight, if there is no norm around it."""
    assert norm is None or isinstance(norm, nn.Identity), f"{type(norm).__name__} is no Norm"
    return weight


def reader(left_ED: Tensor, right_DE: Tensor) -> Tensor:
    """R right (D, E), for left = Q R with orthonormal Q: it keeps every length that left @ right gives."""
    _, r_DD = torch.linalg.qr(left_ED, mode="r")
    return product(r_DD, right_DE.mT)


def _head_weights(part: Attention, head: int) -> tuple[Tensor, Tensor]:
    """The weights (D,) of the norms on a head's query and on its key; ones without."""
    if part.head_norm is None:
        ones_D = torch.ones(part.head_width, dtype=torch.float64, device=part.qkv.weight.device)
        return ones_D, ones_D
    return part.head_norm.factors(head, head * part.kv_heads // part.heads)
