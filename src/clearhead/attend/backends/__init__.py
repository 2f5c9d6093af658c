"""The kernels behind the door. Each runs a request or says why not; the first that accepts is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from clearhead.attend.backends import flex, reference, sdpa, token
from clearhead.attend.request import Request

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class Backend(Protocol):
    """The interface of a kernel module."""

    NAME: str

    def refuses(self, request: Request) -> list[str]:
        """Why this kernel cannot run the request; empty if it can."""
        ...

    def run(self, request: Request) -> Tensor:
        """softmax(score(q, k) under mask) @ v -> o_BHQD in q's dtype."""
        ...

    def prepared(self, request: Request) -> Kernel | None:
        """(q, k, v) -> o for every request that differs in their numbers only; None if each must be run by itself."""
        ...


ORDER: tuple[Backend, ...] = (token, flex, sdpa, reference)
