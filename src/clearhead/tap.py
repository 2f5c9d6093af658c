"""What a pass shows to whoever watches it: one protocol, called by the models, the blocks and the door.

With nobody watching, each call costs one test of a variable.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Site:
    """A place in a model: ``decoder.3.self``, ``decoder.0.cross``, ``encoder.1.feed_forward``.

    kind: self or cross, attention over the own or another text; feed_forward; residual, the stream after the layer;
        embedding, the stream before layer 0
    stack: decoder or encoder
    """

    layer: int
    kind: str = "self"
    stack: str = "decoder"

    def __str__(self) -> str:
        return f"{self.stack}.{self.layer}.{self.kind}"

    @property
    def attends(self) -> bool:
        """True for attention, which has heads."""
        return self.kind in ("self", "cross")


Spans = Sequence[tuple[int, int]]


class Watcher(Protocol):
    """Sees the passes made while it is in force, and may change them. ``request`` is one of ``clearhead.attend``."""

    def reserve(self, first: int, count: int) -> int:
        """The first of ``count`` numbers that no text has, at least ``first``; nobody else is given them."""
        ...

    def begin(self, queries: int, first: int, spans: Spans, state: object | None) -> None:
        """A pass over ``queries`` new cells from ``first`` on; ``spans`` are the cells of each batch row's text.

        state: what the model keeps of the texts read before; None where the pass begins its texts.
        """
        ...

    def before(self, request: Any) -> Any:
        """The request that the kernel runs."""
        ...

    def after(self, request: Any, backend: str, o_BHQD: Tensor) -> Tensor:
        """The heads' outputs that the model goes on with."""
        ...

    def shown(self, site: Site, x_BTE: Tensor) -> Tensor:
        """The tensor that the model goes on with: what a part adds to the residual stream, or the stream itself."""
        ...

    def rewound(self, state: object, length: int) -> None:
        """The state's cells from ``length`` on are forgotten, and will be written over."""
        ...

    def selected(self, state: object, rows: Sequence[int]) -> None:
        """The state goes on with some of its batch rows, in this order."""
        ...


_WATCHERS: ContextVar[tuple[Watcher, ...]] = ContextVar("clearhead.watchers", default=())
_ROWS: ContextVar[tuple[int, ...] | None] = ContextVar("clearhead.rows", default=None)

# Watchers in force in all threads. A compiler can guard on this number but not trace a context variable: while nobody
# watches, the door stays inside a compiled model's graph; while somebody does, the model is compiled around it.
_open = 0
_LOCK = threading.Lock()


def watchers() -> tuple[Watcher, ...]:
    """Those in force in this context, the outermost first."""
    return _WATCHERS.get() if _open else ()


@contextmanager
def watched_by(watcher: Watcher) -> Generator[None]:
    """Adds a watcher to those in force while the block runs."""
    global _open
    with _LOCK:
        _open += 1
    token = _WATCHERS.set((*_WATCHERS.get(), watcher))
    try:
        yield
    finally:
        _WATCHERS.reset(token)
        with _LOCK:
            _open -= 1


@contextmanager
def rows(numbers: Sequence[int]) -> Generator[None]:
    """Says which texts, by number, the batch rows of the passes in the block hold."""
    token = _ROWS.set(tuple(numbers))
    try:
        yield
    finally:
        _ROWS.reset(token)


def numbered() -> tuple[int, ...] | None:
    """What ``rows`` said; None where nothing was said."""
    return _ROWS.get()


def reserve(count: int) -> range:
    """Numbers for ``count`` texts that will pass in other batches or in another order than they were given."""
    first = 0
    for watcher in watchers():
        first = watcher.reserve(first, count)
    return range(first, first + count)


def begin(queries: int, first: int, spans: Spans, state: object | None) -> None:
    """Tells the watchers of a pass, before anything of it is shown."""
    for watcher in watchers():
        watcher.begin(queries, first, spans, state)


def shown(site: Site, x_BTE: Tensor) -> Tensor:
    """x as the watchers leave it."""
    for watcher in watchers():
        x_BTE = watcher.shown(site, x_BTE)
    return x_BTE
