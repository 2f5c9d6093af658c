"""What happens to the residual stream between the embedding and the output layer, step by step, for analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from clearhead.tap import Site


@dataclass(frozen=True, eq=False)
class Adds:
    """x + after(part(before(x))).

    layer: counted from 0
    site: where watchers see what is added; None if they do not, as in a recurrence
    before, after: the norms on what the part reads and on what it gives; None = none
    """

    layer: int
    part: nn.Module
    site: Site | None = None
    before: nn.Module | None = None
    after: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class Maps:
    """map(x): a norm of the stream itself, or a step of the output head. layer: None after the last layer."""

    map: Callable[[Tensor], Tensor]
    layer: int | None = None


Step = Adds | Maps
