"""What a model keeps of the texts it has read, so that the next pass takes the new tokens only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class State(ABC):
    """The first ``length`` places of a batch of texts, padded on the left; made by ``Network.state``, for one network.

    length: places read. capacity: places there is room for.
    """

    length: int
    capacity: int

    @abstractmethod
    def rewind(self, length: int) -> None:
        """Forgets the places from ``length`` on. 0 works in every state, others where the network ``rewinds``."""

    @abstractmethod
    def take(self, other: Any, length: int) -> None:
        """Goes on from the first ``length`` places of another state of this network, copied; this one is empty."""

    @abstractmethod
    def keep(self, rows_R: Tensor, first: int) -> None:
        """Goes on with some rows of the batch, in the given order, without the places before ``first``."""
