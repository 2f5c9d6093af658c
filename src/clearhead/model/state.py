"""The state of generation, which lets the next pass read only the new tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class State(ABC):
    """What a network keeps of the ``length`` places it has read, padded on the left. Made by ``Network.state``.

    length: places read. capacity: places there is room for.
    """

    length: int
    capacity: int

    @abstractmethod
    def rewind(self, length: int) -> None:
        """Forgets the places from ``length`` on. Always works for 0; otherwise only if the network ``rewinds``."""

    @abstractmethod
    def take(self, other: Any, length: int) -> None:
        """Copies the first ``length`` places of another state of this network. This one must be empty."""

    @abstractmethod
    def select(self, rows_R: Tensor, first: int) -> None:
        """Selects rows of the batch, in the given order, and drops the places before ``first``."""
