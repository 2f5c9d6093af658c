"""The KV cache for generation: allocated once, filled from the left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from clearhead.errors import RequestError
from clearhead.model.parts.source import Source
from clearhead.model.state import State
from clearhead.native import token
from clearhead.tap import Watcher, watchers

Views = tuple[Tensor, Tensor, Tensor, Tensor]  # of a layer: new keys, new values, all keys, all values


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
        self._opened: tuple[object, list[Views]] | None = None  # the views of a pass, and what they depend on
        self.recorded: Any = None  # a model's pass over a new token with this cache (model/recorded.py)
        self._watchers = WeakSet[Watcher]()  # watchers whose records refer to the keys

    def extend(self, layer: int, k_BGTD: Tensor, v_BGTD: Tensor) -> tuple[Tensor, Tensor]:
        """Appends the new places and returns all filled ones: k_BGKD, v_BGKD.

        Raises RequestError, before writing anything, if they do not fit.
        """
        if torch.is_grad_enabled():
            # autograd forbids writing to a view made before another layer wrote
            new_k, new_v, k_BGKD, v_BGKD = self._views(k_BGTD.shape, range(layer, layer + 1))[0]
        else:
            key = (self.length, k_BGTD.shape, torch.is_inference_mode_enabled())
            if self._opened is None or self._opened[0] != key:
                self._opened = key, self._views(k_BGTD.shape, range(len(self.k_LBGKD)))
            new_k, new_v, k_BGKD, v_BGKD = self._opened[1][layer]
        fits = new_k.shape == k_BGTD.shape == v_BGTD.shape and new_k.dtype == k_BGTD.dtype and new_k.is_cpu
        if fits and token.extends(k_BGTD, v_BGTD):
            token.extend(k_BGTD, v_BGTD, k_BGKD, v_BGKD, self.length)
        else:
            new_k.copy_(k_BGTD)
            new_v.copy_(v_BGTD)
        return k_BGKD, v_BGKD

    def _views(self, shape: torch.Size, layers: range) -> list[Views]:
        """Views in which layers write new keys and values of this shape, and views of all that are then filled.

        Making them for all layers of a pass at once takes half the time.
        """
        rows, _, places, _ = shape
        if rows != self.k_LBGKD.shape[1]:
            raise RequestError(f"cache: made for {self.k_LBGKD.shape[1]} rows; {rows} were given")
        stop = self.length + places
        if stop > self.capacity:
            raise RequestError(f"cache: {stop} places are needed; {self.capacity} were allocated")
        both = self.k_LBGKD, self.v_LBGKD
        new_k, new_v = (t.narrow(3, self.length, places) for t in both)
        all_k, all_v = (t.narrow(3, 0, stop) for t in both)
        return [(new_k[layer], new_v[layer], all_k[layer], all_v[layer]) for layer in layers]

    def fits(self, rows: int, places: int) -> bool:
        """Whether it has so many rows, and room for so many places."""
        return self.k_LBGKD.shape[1] == rows and self.capacity >= places

    def filled(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """k_BGKD and v_BGKD of every layer, filled places only."""
        keys, values = (each.narrow(3, 0, self.length).unbind() for each in (self.k_LBGKD, self.v_LBGKD))
        return keys, values

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
            self._opened = self.recorded = None
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

        The capacity stays, so ``first`` more places are free. What records refer to does not change.
        """
        before = self.k_LBGKD
        self.k_LBGKD, self.v_LBGKD = (self._selected(each, rows_R, first) for each in (self.k_LBGKD, self.v_LBGKD))
        self.length -= first
        if (before.data_ptr(), before.shape) != (self.k_LBGKD.data_ptr(), self.k_LBGKD.shape):
            self._opened = self.recorded = None
        if self.source is not None:
            self.source = self.source.select(rows_R)
        self._watchers.clear()
        for watcher in watchers():
            watcher.selected(self, rows_R.tolist())

    def _selected(self, old_LBGKD: Tensor, rows_R: Tensor, first: int) -> Tensor:
        kept_LRGND = old_LBGKD.narrow(3, first, self.length - first).index_select(1, rows_R)
        if self._watchers or watchers() or len(rows_R) > old_LBGKD.shape[1]:
            new_LRGKD = old_LBGKD.new_empty((len(old_LBGKD), len(rows_R), *old_LBGKD.shape[2:]))
        else:  # in place: fresh memory takes three times as long
            new_LRGKD = old_LBGKD.narrow(1, 0, len(rows_R))
        new_LRGKD.narrow(3, 0, self.length - first).copy_(kept_LRGND)
        return new_LRGKD
