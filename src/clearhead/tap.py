"""What a pass shows to its watchers: one protocol, called by models, blocks and the door.

With nobody watching, each call costs one test of a variable.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Site:
    """A place in a model: ``decoder.3.self``, ``decoder.0.cross``, ``encoder.1.feed_forward``.

    kind: self (attention within a text), cross (attention to another text), feed_forward, residual (the stream after
        the layer), embedding (the stream before layer 0)
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

    @property
    def reads(self) -> str:
        """The stack that an attention's keys come from: the encoder for cross-attention, else its own."""
        return "encoder" if self.kind == "cross" else self.stack


def own_stack(stacks: Iterable[str]) -> str:
    """The stack whose text is the model's own: the decoder, which writes it, or the only one."""
    stacks = set(stacks)
    return "decoder" if "decoder" in stacks or not stacks else min(stacks)


def short_names(sites: Iterable[Site]) -> dict[Site, str]:
    """The sites as tables and pictures name them: ``5``, ``5.cross``; ``encoder.5`` if they are of several stacks."""
    sites = list(sites)
    several = len({site.stack for site in sites}) > 1
    return {
        site: f"{site.stack}." * several + f"{site.layer}" + f".{site.kind}" * (site.kind != "self") for site in sites
    }


Spans = Sequence[tuple[int, int]]


class Watcher(Protocol):
    """Sees each pass made while it is active, and may change it. ``request`` is an ``attend.Request``."""

    @property
    def looks(self) -> bool:
        """Whether it changes nothing and needs only the queries and keys of a pass.

        In that case all requests of a pass may come at its end, and the calls of ``shown`` may be left out.
        """
        ...

    def reserve(self, first: int, count: int) -> int:
        """Reserves ``count`` consecutive unused text numbers, none below ``first``; returns the first of them."""
        ...

    def begin(self, queries: int, first: int, spans: Spans, state: object | None, stack: str) -> None:
        """Called before a pass of a stack over ``queries`` new cells, starting at cell ``first``.

        spans: the cells of each batch row's text
        state: the model's generation state; None if the pass starts its texts
        """
        ...

    def before(self, request: Any) -> Any:
        """Returns the request for the kernel to run."""
        ...

    def after(self, request: Any, backend: str, o_BHQD: Tensor) -> Tensor:
        """Returns the heads' outputs for the model to continue with."""
        ...

    def shown(self, site: Site, x_BTE: Tensor) -> Tensor:
        """Returns x, changed or not: what a part adds to the residual stream, or the stream itself."""
        ...

    def rewound(self, state: object, length: int) -> None:
        """The state forgot its cells from ``length`` on; later passes overwrite them."""
        ...

    def selected(self, state: object, rows: Sequence[int]) -> None:
        """The state kept only these batch rows, in this order."""
        ...


_WATCHERS: ContextVar[tuple[Watcher, ...]] = ContextVar("clearhead.watchers", default=())
_ROWS: ContextVar[tuple[int, ...] | None] = ContextVar("clearhead.rows", default=None)

# Number of active watchers in all threads. torch.compile can guard on it but cannot trace a context variable: with
# nobody watching, the door stays inside the compiled graph; otherwise the graph breaks there.
_open = 0
_LOCK = threading.Lock()


def watchers() -> tuple[Watcher, ...]:
    """The watchers active in this context, outermost first."""
    return _WATCHERS.get() if _open else ()


@contextmanager
def watched_by(watcher: Watcher) -> Generator[None]:
    """Adds a watcher during the block."""
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
def unwatched() -> Generator[None]:
    """Hides passes in the block, such as another model's, from all watchers."""
    token = _WATCHERS.set(())
    try:
        yield
    finally:
        _WATCHERS.reset(token)


@contextmanager
def rows(numbers: Sequence[int]) -> Generator[None]:
    """Sets the number of the text in each batch row, for passes in this block."""
    token = _ROWS.set(tuple(numbers))
    try:
        yield
    finally:
        _ROWS.reset(token)


def numbered() -> tuple[int, ...] | None:
    """The text numbers set by ``rows``; None if unset."""
    return _ROWS.get()


def reserve(count: int) -> range:
    """Reserves text numbers, so that records keep the order in which texts were given, however they are batched."""
    first = 0
    for watcher in watchers():
        first = watcher.reserve(first, count)
    return range(first, first + count)


def begin(queries: int, first: int, spans: Spans, state: object | None, stack: str) -> None:
    """Announces a pass of a stack to the watchers."""
    for watcher in watchers():
        watcher.begin(queries, first, spans, state, stack)


def shown(site: Site, x_BTE: Tensor) -> Tensor:
    """Shows x to the watchers; returns it with their changes."""
    for watcher in watchers():
        x_BTE = watcher.shown(site, x_BTE)
    return x_BTE
