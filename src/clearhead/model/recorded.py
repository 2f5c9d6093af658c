"""A decoding step in one call: the pass over new tokens, recorded once and replayed for those that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from clearhead import tap
from clearhead.attend.request import Request
from clearhead.model.cache import Cache
from clearhead.model.protocol import Network
from clearhead.native import Tape, recording, token

TRAINING = attrgetter("training")
GLOBAL_HOOKS = [vars(modules)[name] for name in ("_global_forward_hooks", "_global_forward_pre_hooks")]


def recordable(network: Network, ids_BT: Tensor, cache: Cache) -> bool:
    """Whether a pass over these ids, with no mask of the caller's, may be recorded.

    They are one token or, unwatched, one in each row of a translation of a single text.
    """
    rows, source = len(ids_BT), cache.source
    return (
        (rows == 1 if source is None else rows <= token.ROWS and bool(source.memory))
        and ids_BT.shape == (rows, 1)
        and ids_BT.dtype == torch.int64
        and ids_BT.is_cpu
        and cache.fits(rows, cache.length + 1)
        and not network.training
        and (source is None or not tap.watchers())
        and all(watcher.looks for watcher in tap.watchers())
        and token.usable(network.embedding.weight)
    )


class Recorded:
    """The pass of a model over a new token, or one in each row of a translation, with one KV cache.

    The first such pass runs normally, since it makes what later ones only look up: rotary tables, and the fastest way
    for each product. The second is recorded, and later ones are replayed, as long as weights, parts, cache and threads
    stay the same and there are no hooks. Other attributes of parts, such as a norm's eps, must not change.
    Watchers that only look get the requests of a pass at its end, with copies of its queries.

    refused: why the recording cannot be used; None = it can, or there is none yet
    """

    def __init__(self, network: Network, cache: Cache, stack: str) -> None:
        self._stack = stack
        self.refused: str | None = None
        self._tape: Tape | None = None
        self._network = network
        self._parts = list(network.modules())  # kept, like the weights, so that no address is used again
        self._hooks = [*_tables(self._parts, "_forward_hooks", "_forward_pre_hooks"), *GLOBAL_HOOKS]
        self._tensors = _tables(self._parts, "_parameters", "_buffers")
        self._modules = _tables(self._parts, "_modules")
        self._weights = [each for table in self._tensors for each in table.values()]
        self._key = self._now(cache)

    def holds(self, network: Network, cache: Cache) -> bool:
        """Whether weights, parts, cache and threads are those it was made for."""
        return network is self._network and self._key == self._now(cache)

    def logits(self, ids_R1: Tensor, cache: Cache, forward: Callable[[Tensor], Tensor]) -> Tensor | None:
        """logits_R1V after these ids, which the cache gets too. None if the pass, ``forward``, must run normally."""
        if self.refused is not None or any(self._hooks):
            return None
        watchers, place = tap.watchers(), cache.length
        if watchers:
            tap.begin(1, place, ((0, place + 1),), cache, self._stack)
        logits_R1V = self._recorded(ids_R1, forward) if self._tape is None else self._replayed(ids_R1, cache)
        if logits_R1V is not None and watchers:
            self._show(watchers, cache)
        return logits_R1V

    def _replayed(self, ids_R1: Tensor, cache: Cache) -> Tensor | None:
        assert self._tape is not None
        self._ids_R1.copy_(ids_R1)
        logits_R1V = torch.empty(self._shape, dtype=self._dtype)
        self._tape.result_at(logits_R1V.data_ptr())
        source = 0 if cache.source is None else cache.source.x_BSE.shape[1]
        if not self._tape.run(cache.length, torch.get_num_threads(), source):
            return None
        cache.advance(1)
        return logits_R1V

    def _recorded(self, ids_R1: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.inference_mode(mode=False):  # so that it can be written in any mode
            self._ids_R1 = torch.empty_like(ids_R1)
        self._ids_R1.copy_(ids_R1)
        requests = _Requests()
        with tap.unwatched(), tap.watched_by(requests), recording(len(ids_R1)) as tape:
            logits_R1V = forward(self._ids_R1)
        self._tape, self._requests, self.refused = tape, requests.seen, tape.refused
        if tape.result != logits_R1V.data_ptr():
            self.refused = self.refused or "the logits are not the last kernel's result"
        self._shape, self._dtype = logits_R1V.shape, logits_R1V.dtype
        return logits_R1V

    def _show(self, watchers: Sequence[tap.Watcher], cache: Cache) -> None:
        """Shows the requests of the pass that was just made."""
        cache.advance(0)  # adds no place, but makes these watchers known to the cache
        keys, values = cache.filled()
        for request, backend, o_BHQD in self._requests:
            layer = request.site.layer
            again = request.like(request.q_BHQD.clone(), keys[layer], values[layer])
            for watcher in watchers:
                watcher.before(again)
            for watcher in watchers:
                watcher.after(again, backend, o_BHQD)

    def _now(self, cache: Cache) -> tuple[object, ...]:
        """What the recorded calls depend on."""
        tensors = [each for table in self._tensors for each in table.values() if each is not None]
        weights = [list(map(read, tensors)) for read in (id, Tensor.data_ptr, Tensor.numel, Tensor.is_contiguous)]
        parts = [id(each) for table in self._modules for each in table.values()]
        training = list(map(TRAINING, self._parts))
        source = () if cache.source is None else cache.source.memory.values()
        memory = [each.data_ptr() for each in (cache.k_LBGKD, cache.v_LBGKD, *(t for pair in source for t in pair))]
        return memory, cache.k_LBGKD.shape[1], torch.get_num_threads(), weights, parts, training

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy of a cache has no recording."""
        return type(None), ()


class _Requests:
    """A watcher that keeps the requests of a pass. They refer to the memory of the recording."""

    looks = True

    def __init__(self) -> None:
        self.seen = list[tuple[Request, str, Tensor]]()

    def reserve(self, first: int, count: int) -> int:
        return first

    def begin(self, queries: int, first: int, spans: tap.Spans, state: object | None, stack: str) -> None: ...

    def before(self, request: Request) -> Request:
        return request

    def after(self, request: Request, backend: str, o_BHQD: Tensor) -> Tensor:
        self.seen.append((request, backend, o_BHQD))
        return o_BHQD

    def shown(self, site: tap.Site, x_BTE: Tensor) -> Tensor:
        return x_BTE

    def rewound(self, state: object, length: int) -> None: ...

    def selected(self, state: object, rows: Sequence[int]) -> None: ...


def _tables(parts: Sequence[nn.Module], *names: str) -> list[dict[str, Any]]:
    """What each part keeps under these names."""
    return [vars(part)[name] for part in parts for name in names]
