"""A decoding step in one call: the pass over a new token, recorded once and made again for those after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as modules

from clearhead import tap
from clearhead.model.cache import Cache
from clearhead.model.protocol import Network
from clearhead.native import recording, token


def recordable(network: Network, ids_BT: Tensor, cache: Cache | None) -> bool:
    """Whether a pass over these ids, with no mask of the caller's, may be recorded."""
    return (
        cache is not None
        and ids_BT.shape == (1, 1)
        and ids_BT.dtype == torch.int64
        and cache.length < cache.capacity
        and cache.source is None
        and not network.training
        and not tap.watchers()
        and token.usable(network.embedding.weight)
    )


class Recorded:
    """The pass of a model over a single token with one KV cache.

    forward: the pass, ids_11 -> logits_11V, which is made once, for ``ids_11``; ``first`` is what it gives
    """

    def __init__(self, network: Network, cache: Cache, forward: Callable[[Tensor], Tensor], ids_11: Tensor) -> None:
        self._ids_11 = ids_11.clone()
        self._network = network
        everything = list(network.modules())
        hooks = [each._forward_hooks for each in everything], [each._forward_pre_hooks for each in everything]
        self._hooks: list[dict[Any, Any]] = [*hooks[0], *hooks[1], *GLOBAL_HOOKS]
        self._tensors: list[dict[str, Any]] = [t for each in everything for t in (each._parameters, each._buffers) if t]
        self._modules: list[dict[str, Any]] = [each._modules for each in everything if each._modules]
        self._key = self._now(cache)
        self.first: Tensor | None = None
        with recording() as self._tape:
            self.first = forward(self._ids_11)
        self.refused = self._tape.refused

    def holds(self, network: Network, cache: Cache) -> bool:
        """Whether the pass would still make the recorded calls: with these weights and modules, and without hooks."""
        return network is self._network and not any(self._hooks) and self._key == self._now(cache)

    def logits(self, ids_11: Tensor, cache: Cache) -> Tensor | None:
        """logits_11V after this id, which the cache then has; None if the pass must be made as usual, to fail."""
        self._ids_11.copy_(ids_11)
        logits_11V = torch.empty(1, 1, self._network.config.vocabulary, dtype=self._network.dtype)
        self._tape.gives(logits_11V.data_ptr())
        if not self._tape.run(cache.length, torch.get_num_threads()):
            return None
        cache.advance(1)
        return logits_11V

    def _now(self, cache: Cache) -> tuple[object, ...]:
        """What the calls depend on."""
        weights = [each.data_ptr() for table in self._tensors for each in table.values() if each is not None]
        parts = [id(each) for table in self._modules for each in table.values()]
        return cache.k_LBGKD.data_ptr(), cache.v_LBGKD.data_ptr(), torch.get_num_threads(), weights, parts


GLOBAL_HOOKS = (modules._global_forward_hooks, modules._global_forward_pre_hooks)
