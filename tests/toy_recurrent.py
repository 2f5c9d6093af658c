"""A model kind that the package does not have: a recurrence with one attention over its past, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, attend, causal
from clearhead.errors import ConfigError
from clearhead.model import Cache, ModelConfig, Network, register
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.places import goes_on
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True)
class ToyConfig(ModelConfig):
    kind: ClassVar[str] = "toy"
    heads: int

    def check(self) -> None:
        if (self.layers, self.tied, self.dropout) != (1, True, 0.0):
            raise ConfigError(
                f"model: {self.layers} layers, tied {self.tied}, dropout {self.dropout}; a toy has one layer, a tied "
                "output and no dropout"
            )

    @property
    def abilities(self) -> frozenset[str]:
        return frozenset({"next tokens", "vectors"})

    def parameters(self) -> int:
        return self.vocabulary * self.width + 5 * self.width**2

    def state_numbers(self, places: int) -> int:
        return self.width * (1 + 2 * places)


class ToyState(Cache):
    h_BE: Tensor

    def select(self, rows_R: Tensor, first: int) -> None:
        super().select(rows_R, first)
        self.h_BE = self.h_BE[rows_R]


class Toy(Network):
    """h_t = tanh(A x_t + B h_{t-1}); the logits are read from h and what it attends to among the h before it."""

    rewinds: ClassVar[bool] = False

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        E = config.width
        self.embedding = Embedding(config.vocabulary, E)
        self.into, self.back, self.qkv = Linear(E, E), Linear(E, E), Linear(E, 3 * E, rows=(E, E, E))

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: ToyState | None = None,
    ) -> Tensor:
        start = 0 if state is None else state.length
        self.check_ids(ids_BT, start)
        B, T = ids_BT.shape
        x_BTE, on_BT = self.into(self.embedding(ids_BT)), goes_on(mask, B, start, T, ids_BT.device)
        h_BE = torch.zeros_like(x_BTE[:, 0]) if state is None else state.h_BE
        steps = []
        for t in range(T):
            h_BE = torch.tanh(x_BTE[:, t] + self.back(h_BE * on_BT[:, t, None]))
            steps.append(h_BE)
        h_BTE = torch.stack(steps, dim=1)
        q_BHTD, k_BHTD, v_BHTD = self.qkv(h_BTE).view(B, T, 3, self.config.heads, -1).permute(2, 0, 3, 1, 4)
        if state is not None:
            state.h_BE = h_BE
            k_BHTD, v_BHTD = state.extend(0, k_BHTD, v_BHTD)
            state.advance(T)
        o_BHTD = attend(q_BHTD, k_BHTD, v_BHTD, mask=causal() & mask, site=Site(0))
        return h_BTE + o_BHTD.transpose(1, 2).flatten(2)

    def sites(self) -> dict[Site, int]:
        return {Site(0): self.config.heads}

    def empty_state(self, batch: int, capacity: int) -> ToyState:
        H, E, at = self.config.heads, self.config.width, {"dtype": self.dtype, "device": self.device}
        state = ToyState(layers=1, kv_heads=H, head_width=E // H, batch=batch, capacity=capacity, **at)
        state.h_BE = torch.zeros(batch, E, **at)
        return state


register(ToyConfig, Toy)
