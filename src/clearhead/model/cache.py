"""The key-value cache of a text that is being written: allocated once, filled from the left."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.errors import RequestError
from clearhead.model.config import ModelConfig


class Cache:
    """Keys and values of every layer for up to ``capacity`` places; what is handed out are views, not copies."""

    def __init__(
        self, config: ModelConfig, *, batch: int, capacity: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        if capacity > config.context:
            raise RequestError(
                f"cache: {capacity} places were asked for; the model's context is {config.context} tokens"
            )
        a = config.attention
        shape = (config.layers, batch, a.kv_heads, capacity, a.head_width)
        self.k_LBGKD = torch.empty(shape, dtype=dtype, device=device)
        self.v_LBGKD = torch.empty(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0  # places filled in every layer

    def extend(self, layer: int, k_BGTD: Tensor, v_BGTD: Tensor) -> tuple[Tensor, Tensor]:
        """Writes the new places behind those filled and returns all of them: k_BGKD, v_BGKD."""
        stop = self.length + k_BGTD.shape[2]
        if stop > self.capacity:
            raise RequestError(f"cache: {stop} places are needed; {self.capacity} were allocated")
        self.k_LBGKD[layer, :, :, self.length : stop] = k_BGTD
        self.v_LBGKD[layer, :, :, self.length : stop] = v_BGTD
        return self.k_LBGKD[layer, :, :, :stop], self.v_LBGKD[layer, :, :, :stop]

    def advance(self, places: int) -> None:
        """Counts the places that every layer has now written."""
        self.length += places
