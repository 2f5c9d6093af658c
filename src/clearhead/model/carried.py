"""The generation state of recurrent and convolutional models."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from clearhead.errors import RequestError
from clearhead.model.cache import Cache
from clearhead.model.state import State

Carry = tuple[Tensor, ...]


class Carried(Cache):
    """What each layer carries to the next place, and a KV cache for one layer if the model has attention.

    layers: one tuple of tensors per layer, batch first; each pass replaces it
    kv_heads: 0 without attention
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
        """As ``Cache.extend``; ignores ``layer``, as only one layer has keys."""
        return super().extend(0, k_BGTD, v_BGTD)

    def rewind(self, length: int) -> None:
        """Forgets everything. Raises RequestError for lengths between 0 and its own, as no earlier state is kept."""
        if length == self.length:
            return
        if length:
            raise RequestError(
                f"state: {self.length} places were read; it cannot be rewound to {length}, only to 0, as no earlier "
                "state is kept"
            )
        super().rewind(0)
        self.layers = [tuple(t.new_zeros(t.shape) for t in carry) for carry in self.layers]

    def take(self, other: Any, length: int) -> None:
        """Copies all of another state, or nothing. Raises RequestError for a part."""
        if length not in (0, other.length):
            raise RequestError(f"state: {length} of {other.length} places cannot be copied; take all or none")
        super().take(other, length)
        if length:
            self.layers = [tuple(t.clone() for t in carry) for carry in other.layers]

    def select(self, rows_R: Tensor, first: int) -> None:
        """Keeps some rows of the batch, in the given order, and drops the places before ``first``."""
        super().select(rows_R, first)
        self.layers = [tuple(t[rows_R] for t in carry) for carry in self.layers]


def carried(state: State | None) -> Carried | None:
    """The state as a ``Carried``. Raises RequestError if it is of another kind of model."""
    if state is not None and not isinstance(state, Carried):
        raise RequestError(f"model: the state is a {type(state).__name__}; make one with model.state(batch, capacity)")
    return state
