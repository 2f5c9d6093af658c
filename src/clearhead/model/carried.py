"""The generation state of models that carry something on from token to token."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from clearhead.errors import RequestError
from clearhead.model.cache import Cache

Carry = tuple[Tensor, ...]


class Carried(Cache):
    """What each layer carries on to the next place, batch first, and the KV cache of one layer if the model attends.

    layers: a tuple of tensors per layer, replaced as the layer reads new places. kv_heads: 0 without attention.
    """

    def __init__(
        self, carried: list[Carry], *, batch: int, capacity: int, kv_heads: int = 0, head_width: int = 0
    ) -> None:
        like = carried[0][0]
        super().__init__(
            layers=1,
            kv_heads=kv_heads,
            head_width=head_width,
            batch=batch,
            capacity=capacity,
            dtype=like.dtype,
            device=like.device,
        )
        self.layers = carried

    def extend(self, layer: int, k_BGTD: Tensor, v_BGTD: Tensor) -> tuple[Tensor, Tensor]:
        """As ``Cache.extend``; only one layer has keys, whichever it is."""
        return super().extend(0, k_BGTD, v_BGTD)

    def rewind(self, length: int) -> None:
        """Forgets everything. Raises RequestError for another place: what was carried on from there is gone."""
        if length == self.length:
            return
        if length:
            raise RequestError(
                f"state: {self.length} places were read; it cannot be rewound to {length}, only to 0, since it keeps "
                "no earlier places"
            )
        super().rewind(0)
        self.layers = [tuple(t.new_zeros(t.shape) for t in carry) for carry in self.layers]

    def take(self, other: Any, length: int) -> None:
        """Copies another state whole, or nothing. Raises RequestError for a part of it."""
        if length not in (0, other.length):
            raise RequestError(f"state: {length} of {other.length} places cannot be copied; take all or none")
        super().take(other, length)
        if length:
            self.layers = [tuple(t.clone() for t in carry) for carry in other.layers]

    def keep(self, rows_R: Tensor, first: int) -> None:
        """Keeps some rows of the batch, in the given order, and drops the places before ``first``."""
        super().keep(rows_R, first)
        self.layers = [tuple(t[rows_R] for t in carry) for carry in self.layers]
