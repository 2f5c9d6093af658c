"""A decoding step in one call: the pass over a new token, recorded once and made again for those after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from clearhead import tap
from clearhead.model.cache import Cache
from clearhead.model.protocol import Network
from clearhead.native import recording, token

GLOBAL_HOOKS = [vars(modules)[name] for name in ("_global_forward_hooks", "_global_forward_pre_hooks")]


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
    refused: what the pass does that cannot be recorded; None = nothing
    """

    def __init__(self, network: Network, cache: Cache, forward: Callable[[Tensor], Tensor], ids_11: Tensor) -> None:
        self._ids_11 = ids_11.clone()
        self._network = network
        self._parts = list(network.modules())  # kept, so that no other part gets the address of one
        self._hooks = [*_tables(self._parts, "_forward_hooks", "_forward_pre_hooks"), *GLOBAL_HOOKS]
        self._tensors = _tables(self._parts, "_parameters", "_buffers")
        self._modules = _tables(self._parts, "_modules")
        self._key = self._now(cache)
        self.first: Tensor | None = None
        with recording() as self._tape:
            self.first = forward(self._ids_11)
        self.refused = self._tape.refused

    @property
    def passed_by(self) -> bool:
        """Whether the pass must be made as usual: it has what cannot be recorded, or there are hooks."""
        return self.refused is not None or any(self._hooks)

    def holds(self, network: Network, cache: Cache) -> bool:
        """Whether the pass would still make the recorded calls, with these weights and modules."""
        return network is self._network and self._key == self._now(cache)

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


def _tables(parts: Sequence[nn.Module], *names: str) -> list[dict[str, Any]]:
    """What each part keeps under these names."""
    return [vars(part)[name] for part in parts for name in names]
