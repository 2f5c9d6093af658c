"""What a pass shows to whoever watches it: one protocol, called by the door and by the blocks.

With nobody watching it costs one test of a variable.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Site:
    """A place in a model: ``decoder.3.self``, ``decoder.0.cross``, ``encoder.1.self``."""

    layer: int
    kind: str = "self"
    stack: str = "decoder"

    def __str__(self) -> str:
        return f"{self.stack}.{self.layer}.{self.kind}"


class Watcher(Protocol):
    """Sees the passes made while it is in force, and may change them. ``request`` is one of ``clearhead.attend``."""

    def before(self, request: Any) -> Any:
        """The request that the kernel runs."""
        ...

    def after(self, request: Any, backend: str, o_BHQD: Tensor) -> Tensor:
        """The heads' outputs that the model goes on with."""
        ...


_WATCHERS: ContextVar[tuple[Watcher, ...]] = ContextVar("clearhead.watchers", default=())

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
