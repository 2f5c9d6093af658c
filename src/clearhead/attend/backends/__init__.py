"""The kernels behind the door. Each either runs a request or says why it refuses; the first that accepts is taken."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from clearhead.attend.backends import flex, reference, sdpa
from clearhead.attend.request import Request


class Backend(Protocol):
    """What a kernel module offers."""

    NAME: str

    def refuses(self, request: Request) -> list[str]:
        """Reasons why this kernel cannot run the request; empty when it can."""
        ...

    def run(self, request: Request) -> Tensor:
        """softmax(score(q, k) under mask) @ v -> o_BHQD in q's dtype."""
        ...


ORDER: tuple[Backend, ...] = (flex, sdpa, reference)
