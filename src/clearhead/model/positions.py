"""Where a token stands: rules that add to the embedding or turn queries and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from clearhead.model.config import ModelConfig


@dataclass(frozen=True, eq=False)
class Turn:
    """Cosines and signed sines of one pass, (B or 1, T, 1, D): the second half of a head is paired with the first."""

    cos_BT1D: Tensor
    sin_BT1D: Tensor

    def __call__(self, x_BTXD: Tensor) -> Tensor:
        """Each pair (x_i, x_{i + D/2}) turned by its angle (Su et al. 2021, eq. 34, in GPT-NeoX's pairing)."""
        half = x_BTXD.shape[-1] // 2
        cos_BT1D, sin_BT1D = self.cos_BT1D.to(x_BTXD.dtype), self.sin_BT1D.to(x_BTXD.dtype)
        return torch.addcmul(x_BTXD * cos_BT1D, x_BTXD.roll(half, dims=-1), sin_BT1D)


class Positions(Protocol):
    """What a position rule does in a model."""

    def add(self, x_BTE: Tensor, places_BT: Tensor) -> Tensor:
        """The embedding with what the rule adds to it."""
        ...

    def turn(self, places_BT: Tensor, reach: int) -> Turn | None:
        """What to do to queries and keys, or None; all places lie below ``reach``."""
        ...


class Rotary(nn.Module):
    """Queries and keys are turned by angles that grow with the place; q.k then depends on distances only."""

    def __init__(self, head_width: int, theta: float, context: int) -> None:
        super().__init__()
        self.head_width, self.theta, self.context = head_width, theta, context
        self._tables: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def add(self, x_BTE: Tensor, places_BT: Tensor) -> Tensor:
        """Nothing is added."""
        return x_BTE

    def turn(self, places_BT: Tensor, reach: int) -> Turn:
        """Cosines and sines of the given places, in float32."""
        cos_KD, sin_KD = self._table(places_BT.device, reach)
        return Turn(cos_KD[places_BT].unsqueeze(2), sin_KD[places_BT].unsqueeze(2))

    def _table(self, device: torch.device, reach: int) -> tuple[Tensor, Tensor]:
        """For the places below ``reach`` at least; it grows by doubling, since a context of 2**20 would take 1 GB."""
        table = self._tables.get(device)
        if table is None or len(table[0]) < reach:
            rows = min(self.context, max(1024, 1 << (reach - 1).bit_length()))
            exponents = torch.arange(0, self.head_width, 2, dtype=torch.float32, device=device) / self.head_width
            # Times the reciprocal, as transformers has it: a quotient rounds otherwise, by 6e-5 radians at place 2,000.
            angles = torch.arange(rows, device=device).float()[:, None] * (1.0 / self.theta**exponents)
            cos, sin = angles.cos(), angles.sin()
            table = self._tables[device] = torch.cat((cos, cos), dim=1), torch.cat((-sin, sin), dim=1)
        return table


class Learned(nn.Module):
    """One trained vector per place, added to the embedding (Radford et al. 2019)."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(context, width))

    def add(self, x_BTE: Tensor, places_BT: Tensor) -> Tensor:
        """x_BTE plus the vectors of its places."""
        return x_BTE + self.weight[places_BT]

    def turn(self, places_BT: Tensor, reach: int) -> None:
        """Queries and keys stay as they are."""
        return


def positions(config: ModelConfig) -> Rotary | Learned:
    """The rule the config names."""
    if config.positions.kind == "learned":
        return Learned(config.context, config.width)
    return Rotary(config.attention.head_width, config.positions.theta, config.context)
