"""Positions: vectors added to the embedding, rotations of queries and keys, biases on attention's logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor, nn

from clearhead.model.parts.config import PositionConfig
from clearhead.model.parts.scaling import rates
from clearhead.native import token


@dataclass(frozen=True, eq=False)
class Turn:
    """A pass's rotations: cosines and signed sines, (B or 1, T, 1, D). Pairs are the two halves of a head."""

    cos_BT1D: Tensor
    sin_BT1D: Tensor

    def __call__(self, x_BTXD: Tensor) -> Tensor:
        """Rotates each pair (x_i, x_{i + D/2}) by its angle (Su et al. 2021, eq. 34, with GPT-NeoX's pairing)."""
        half = x_BTXD.shape[-1] // 2
        cos_BT1D, sin_BT1D = self.cos_BT1D.to(x_BTXD.dtype), self.sin_BT1D.to(x_BTXD.dtype)
        return torch.addcmul(x_BTXD * cos_BT1D, x_BTXD.roll(half, dims=-1), sin_BT1D)


@dataclass(frozen=True, eq=False)
class PartTurn(Turn):
    """Rotates only the first numbers of each head, as many as there are cosines (GPT-NeoX)."""

    def __call__(self, x_BTXD: Tensor) -> Tensor:
        """Same shape and dtype as x."""
        width = self.cos_BT1D.shape[-1]
        return torch.cat((super().__call__(x_BTXD[..., :width]), x_BTXD[..., width:]), dim=-1)


@dataclass(frozen=True, eq=False)
class TokenTurn:
    """The rotation of one new token by the kernel in C, which reads the tables at its place."""

    cos_KD: Tensor
    sin_KD: Tensor
    place: int

    @property
    def cos_BT1D(self) -> Tensor:
        """The cosines of the place, as ``Turn`` has them."""
        return self.cos_KD[self.place].view(1, 1, 1, -1)

    @property
    def sin_BT1D(self) -> Tensor:
        """The signed sines of the place."""
        return self.sin_KD[self.place].view(1, 1, 1, -1)

    def __call__(self, x_BTXD: Tensor) -> Tensor:
        """As ``Turn`` or ``PartTurn``."""
        if token.takes(x_BTXD, axes=2):
            return token.rotate(x_BTXD, self.cos_KD, self.sin_KD, self.place)
        whole = self.cos_KD.shape[-1] == x_BTXD.shape[-1]
        return (Turn if whole else PartTurn)(self.cos_BT1D, self.sin_BT1D)(x_BTXD)


class Rotary:
    """Rotates queries and keys by angles proportional to the place, so that q.k depends only on distance."""

    def __init__(self, head_width: int, config: PositionConfig, context: int) -> None:
        self.width, self.config, self.context = int(head_width * config.rotated), config, context
        self._turn = Turn if self.width == head_width else PartTurn
        self._tables: dict[tuple[torch.device, bool], tuple[Tensor, Tensor]] = {}

    @overload
    def turn(self, places_BT: Tensor, reach: int) -> Turn: ...
    @overload
    def turn(self, places_BT: Tensor | int, reach: int) -> Turn | TokenTurn: ...
    def turn(self, places_BT: Tensor | int, reach: int) -> Turn | TokenTurn:
        """The rotations for these places, in float32. All places must be below ``reach``.

        An int is the place of a single new token, for the kernel in C; there must be no border.
        """
        if isinstance(places_BT, int):
            return TokenTurn(*self._table(torch.device("cpu"), reach), places_BT)
        cos_KD, sin_KD = self._table(places_BT.device, reach)
        cos_BTD, sin_BTD = cos_KD[places_BT], sin_KD[places_BT]
        if self.border is not None and reach > self.border:
            cos_KD, sin_KD = self._table(places_BT.device, reach, long=True)
            long_B11 = (places_BT.amax(dim=1) >= self.border)[:, None, None]  # each text of the batch by its own length
            cos_BTD = torch.where(long_B11, cos_KD[places_BT], cos_BTD)
            sin_BTD = torch.where(long_B11, sin_KD[places_BT], sin_BTD)
        return self._turn(cos_BTD.unsqueeze(2), sin_BTD.unsqueeze(2))

    @property
    def border(self) -> int | None:
        """The length above which all places of a text are rotated differently (LongRoPE); None = no such length."""
        scaling = self.config.scaling
        return scaling.original if scaling is not None and scaling.kind == "longrope" else None

    def _table(self, device: torch.device, reach: int, long: bool = False) -> tuple[Tensor, Tensor]:
        """A table of at least ``reach`` places. It grows by doubling: a full one for a context of 2**20 takes 1 GB."""
        table = self._tables.get((device, long))
        if table is None or len(table[0]) < reach:
            rows = min(self.context, max(1024, 1 << (reach - 1).bit_length()))
            rates_P, factor = rates(self.config, self.width, long)
            angles_KP = torch.arange(rows, device=device).float()[:, None] * rates_P.to(device)
            cos, sin = angles_KP.cos() * factor, angles_KP.sin() * factor
            table = self._tables[device, long] = torch.cat((cos, cos), dim=1), torch.cat((-sin, sin), dim=1)
        return table


class Learned(nn.Module):
    """A trained vector per place, added to the embedding (Radford et al. 2019)."""

    def __init__(self, context: int, width: int, first: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(first + context, width))
        self.first = first

    def forward(self, x_BTE: Tensor, places_BT: Tensor | int) -> Tensor:
        """x_BTE plus the vectors of its places. An int is that of every token, for the kernel in C."""
        if isinstance(places_BT, int) and token.takes(x_BTE, self.weight, most=token.ROWS):
            return token.placed(x_BTE, self.weight, self.first, places_BT)
        return x_BTE + self.weight[places_BT + self.first if self.first else places_BT]


class Sinusoids:
    """Adds sin(place / theta^(2i/E)) to number i of the first half of the stream, and the cosine in the second half.

    (Vaswani et al. 2017, 3.5, which interleaves sines and cosines; in halves as in Marian.)
    """

    def __init__(self, width: int, config: PositionConfig, context: int) -> None:
        self.width, self.theta, self.context = width, config.theta, context
        self._tables: dict[torch.device, Tensor] = {}

    def __call__(self, x_BTE: Tensor, places_BT: Tensor | int) -> Tensor:
        """x_BTE plus the vectors of its places, given as to ``Learned``."""
        if isinstance(places_BT, int) and token.takes(x_BTE, most=token.ROWS):
            return token.placed(x_BTE, self._table(x_BTE.device), 0, places_BT)
        return x_BTE + self._table(x_BTE.device)[places_BT].to(x_BTE.dtype)

    def _table(self, device: torch.device) -> Tensor:
        table_KE = self._tables.get(device)
        if table_KE is None:
            table_KE = self._tables[device] = self.table().to(device, torch.float32)
        return table_KE

    def table(self) -> Tensor:
        """vectors_KE of all places."""
        rates_P = self.theta ** (-2 * torch.arange((self.width + 1) // 2, dtype=torch.float64) / self.width)
        angles_KP = torch.arange(self.context, dtype=torch.float64)[:, None] * rates_P
        return torch.cat((angles_KP.sin(), angles_KP.cos()[:, : self.width // 2]), dim=1)


class FairseqSinusoids(Sinusoids):
    """Adds sin(place / theta^(i/(E/2 - 1))) to number i of the first half, and the cosine in the second half.

    The longest wavelength is 2 pi theta itself, which ``Sinusoids`` comes close to; place 0 is counted as ``first``.
    (fairseq's form, as in M2M-100. In float32, as there: rates rounded otherwise are off by 6e-5 at place 1,000.)
    """

    def __init__(self, width: int, config: PositionConfig, context: int) -> None:
        super().__init__(width, config, context)
        self.first = config.first

    def table(self) -> Tensor:
        """vectors_KE of all places."""
        half = self.width // 2
        rates_P = torch.exp(torch.arange(half).float() * -(math.log(self.theta) / max(half - 1, 1)))
        angles_KP = torch.arange(self.first, self.first + self.context).float()[:, None] * rates_P
        return nn.functional.pad(torch.cat((angles_KP.sin(), angles_KP.cos()), dim=1), (0, self.width % 2))


class Relative(nn.Module):
    """A trained bias per head and bucket of distances, for all layers of a stack (Raffel et al. 2020, 2.1).

    ahead: whether later keys have buckets of their own; if not, they share that of distance 0, for masks that hide them
    """

    def __init__(self, heads: int, config: PositionConfig, *, ahead: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(heads, config.buckets))
        self.config, self.ahead = config, ahead
        self._buckets: dict[torch.device, Tensor] = {}

    def forward(self) -> Tensor:
        """bias_HN of the distances -R to R from a query's place to its key's, R being the config's distance."""
        device, reach = self.weight.device, self.config.distance
        if device not in self._buckets:
            # On the CPU, since at the borders of buckets a GPU's logarithm may round differently; and outside
            # inference mode, since training uses them too.
            with torch.inference_mode(mode=False):
                self._buckets[device] = self.bucket(torch.arange(-reach, reach + 1)).to(device)
        return self.weight[:, self._buckets[device]]

    def bucket(self, away: Tensor) -> Tensor:
        """The bucket of each distance, as transformers' ``T5Attention._relative_position_bucket`` has it.

        Half of a side's buckets hold one distance each, 0, 1, 2, ...; the others cover ranges that grow by the same
        factor up to ``distance``, and the last also holds all that is farther.
        """
        count, first = self.config.buckets, torch.zeros_like(away)
        if self.ahead:
            count //= 2
            first = count * (away > 0)
        away = away.abs() if self.ahead else (-away).clamp(min=0)
        exact = count // 2
        steps = torch.log(away.float() / exact) / math.log(self.config.distance / exact) * (count - exact)
        far = (exact + steps.clamp(min=0).long()).clamp(max=count - 1)
        return first + torch.where(away < exact, away, far)


def relative(heads: int, positions: PositionConfig, *, ahead: bool) -> Relative | None:
    """The biases by distance, or None if the positions are of another kind."""
    return Relative(heads, positions, ahead=ahead) if positions.kind == "relative" else None


def added(width: int, positions: PositionConfig, context: int) -> Learned | Sinusoids | None:
    """What adds positions to the embedding, or None if nothing does."""
    if positions.kind == "learned":
        return Learned(context, width, positions.first)
    fixed = {"sinusoidal": Sinusoids, "fairseq": FairseqSinusoids}.get(positions.kind)
    return None if fixed is None else fixed(width, positions, context)


def rotary(head_width: int, positions: PositionConfig, context: int) -> Rotary | None:
    """The rotary rule, or None if the positions are of another kind."""
    return Rotary(head_width, positions, context) if positions.kind == "rotary" else None
