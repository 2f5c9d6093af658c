"""The KV cache for generation: allocated once, filled from the left."""

from __future__ import annotations

from weakref import WeakSet

import torch
from torch import Tensor

from clearhead.errors import RequestError
from clearhead.model.parts.source import Source
from clearhead.model.state import State
from clearhead.tap import Watcher, watchers


class Cache(State):
    """Keys and values of every layer for up to ``capacity`` places. Returns views, not copies.

    source: the text that is translated, as ``Translator.read`` gives it; set by ``translating``
    """

    source: Source | None = None

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_width: int,
        batch: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (layers, batch, kv_heads, capacity, head_width)
        self.k_LBGKD = torch.empty(shape, dtype=dtype, device=device)
        self.v_LBGKD = torch.empty(shape, dtype=dtype, device=device)
        self.capacity = capacity
        self.length = 0  # places filled in every layer
        self._watchers = WeakSet[Watcher]()  # watchers whose records refer to the keys

    def extend(self, layer: int, k_BGTD: Tensor, v_BGTD: Tensor) -> tuple[Tensor, Tensor]:
        """Appends the new places and returns all filled ones: k_BGKD, v_BGKD.

        Raises RequestError, before writing anything, if they do not fit.
        """
        if len(k_BGTD) != self.k_LBGKD.shape[1]:
            raise RequestError(f"cache: made for {self.k_LBGKD.shape[1]} rows; {len(k_BGTD)} were given")
        stop = self.length + k_BGTD.shape[2]
        if stop > self.capacity:
            raise RequestError(f"cache: {stop} places are needed; {self.capacity} were allocated")
        own_BGKD, values_BGKD = self.k_LBGKD[layer], self.v_LBGKD[layer]
        own_BGKD.narrow(2, self.length, k_BGTD.shape[2]).copy_(k_BGTD)
        values_BGKD.narrow(2, self.length, k_BGTD.shape[2]).copy_(v_BGTD)
        return own_BGKD.narrow(2, 0, stop), values_BGKD.narrow(2, 0, stop)

    def advance(self, places: int) -> None:
        """Counts places as filled, once every layer has written them."""
        self.length += places
        self._watchers.update(watchers())

    def rewind(self, length: int) -> None:
        """Forgets the places from ``length`` on, which will be overwritten.

        Records still being filled forget them too. Closed records keep the old keys, and the cache continues with a
        copy.
        """
        if not 0 <= length <= self.length:
            raise RequestError(f"cache: {self.length} places are filled; it cannot be rewound to {length}")
        if length == self.length:
            return
        if set(self._watchers) - set(watchers()):
            old_LBGKD = self.k_LBGKD
            with torch.inference_mode(old_LBGKD.is_inference()):  # so that it can be written wherever the old one could
                self.k_LBGKD = torch.empty_like(old_LBGKD)
                self.k_LBGKD[:, :, :, :length] = old_LBGKD[:, :, :, :length]
            self._watchers.clear()
        for watcher in watchers():
            watcher.rewound(self, length)
        self.length = length

    def take(self, other: Cache, length: int) -> None:
        """Copies the first ``length`` places of another cache of this model. This one must be empty."""
        for mine_LBGKD, theirs_LBGKD in ((self.k_LBGKD, other.k_LBGKD), (self.v_LBGKD, other.v_LBGKD)):
            mine_LBGKD[:, :, :, :length] = theirs_LBGKD[:, :, :, :length]
        self.length = length

    def select(self, rows_R: Tensor, first: int) -> None:
        """Keeps some rows of the batch, in the given order, and drops the places before ``first``.

        The capacity stays, so ``first`` more places are free. Views returned before do not change.
        """
        self.k_LBGKD, self.v_LBGKD = (self._selected(each, rows_R, first) for each in (self.k_LBGKD, self.v_LBGKD))
        self.length -= first
        if self.source is not None:
            self.source = self.source.select(rows_R)
        self._watchers.clear()
        for watcher in watchers():
            watcher.selected(self, rows_R.tolist())

    def _selected(self, old_LBGKD: Tensor, rows_R: Tensor, first: int) -> Tensor:
        if first == 0 and 3 * self.length >= self.capacity:  # rows in one piece take a third of the time for each place
            return old_LBGKD.index_select(1, rows_R)
        new_LBGKD = old_LBGKD.new_empty((len(old_LBGKD), len(rows_R), *old_LBGKD.shape[2:]))
        new_LBGKD[:, :, :, : self.length - first] = old_LBGKD[:, rows_R, :, first : self.length]
        return new_LBGKD
