"""What every room needs of a model, whatever its kind: rooms take a ``Network`` and never ask which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from clearhead.attend import FULL, Mask
from clearhead.errors import OptionError, RequestError
from clearhead.model.config import ModelConfig
from clearhead.model.parts.cross_entropy import linear_cross_entropy
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.state import State
from clearhead.tap import Site

# What a model can do: in words, and what its user can.
ABILITIES = {
    "next tokens": ("predicts the next token", "let it write (clearhead generate)"),
    "masked tokens": ("predicts masked tokens", "fill masks (clearhead fill)"),
    "vectors": ("turns texts into vectors", "take vectors of texts (clearhead.vectors)"),
    "pairs": ("reads two texts as a pair", "look at pairs of texts (clearhead look --pair)"),
}


class Able(Protocol):
    """A network, or the config of one."""

    @property
    def abilities(self) -> frozenset[str]: ...


def needs(model: Able, ability: str, what: str) -> None:
    """Raises OptionError, which says what else the model can do, when it lacks this one of ``ABILITIES``."""
    if ability not in model.abilities:
        ways = [way for name, (_, way) in ABILITIES.items() if name in model.abilities]
        instead = f"; with this one you can {' or '.join(ways)}" if ways else ""
        raise OptionError(f"{what} needs a model that {ABILITIES[ability][0]}{instead}")


class Network(nn.Module, ABC):
    """A model: ids -> logits. Made by ``build`` or ``skeleton``: its own weights mean nothing yet.

    embedding: of the tokens, the first that a pass does. border: the first place that changes all places of its text
    (LongRoPE), across which a state cannot be filled; None = there is none. rewinds: whether a state can forget its
    last places; a recurrent one cannot. types: how many texts of one row it tells apart (``types_BT``).
    """

    rewinds: ClassVar[bool] = True
    border: int | None = None
    types: int = 0
    embedding: Embedding

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config: ModelConfig = config

    def forward(
        self,
        ids_BT: Tensor,
        *,
        targets_BT: Tensor | None = None,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        last: bool = False,
    ) -> Tensor:
        """logits_BTV in the weights' dtype (logits_B1V of the last place when ``last``), or with targets the loss.

        ``mask`` is joined with the model's own. With a state, ``ids_BT`` are the newest places only, and the mask
        speaks of all. ``places_BT`` says where the tokens stand when that is not 0, 1, 2, ... (padding on the left),
        ``types_BT`` which text of a pair they are of. The loss is that of ``loss``.
        Raises RequestError when the text is longer than the context, or ids or places are outside their range.
        (On CUDA an id outside the vocabulary is found by the kernel: looking would cost a wait for the device.)
        """
        x_BTE = self.hidden(ids_BT, mask=mask, places_BT=places_BT, types_BT=types_BT, state=state)
        if targets_BT is not None:
            return self.loss(x_BTE, targets_BT)
        return self.unembed(x_BTE[:, -1:] if last else x_BTE)

    @abstractmethod
    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """x_BTE from which the logits are read; arguments and errors are those of ``forward``."""

    @abstractmethod
    def sites(self) -> dict[Site, int]:
        """Every attention site with its number of query heads."""

    @abstractmethod
    def empty_state(self, batch: int, capacity: int) -> State:
        """A state with nothing read, in the weights' dtype, on their device; called by ``state``."""

    def state(self, batch: int, capacity: int) -> State:
        """What the model keeps while it writes ``batch`` texts of up to ``capacity`` places; nothing is read yet.

        Raises OptionError for a model that does not write, RequestError for more places than the context.
        """
        needs(self, "next tokens", "a state to write from")
        if capacity > self.config.context:
            raise RequestError(
                f"state: {capacity} places were asked for; the model's context is {self.config.context} tokens"
            )
        return self.empty_state(batch, capacity)

    @property
    def output(self) -> Embedding | Linear:
        """The output layer, whose ``weight`` is weight_VE; here the embedding."""
        return self.embedding

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV of every place."""
        return self.embedding.logits(x_BTE)

    def loss(self, x_BTE: Tensor, targets_BT: Tensor) -> Tensor:
        """Cross-entropy summed over the targets that are not negative, in nats, float32 or wider."""
        return linear_cross_entropy(x_BTE.flatten(0, 1), self.output.weight, targets_BT.flatten())

    def fresh(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation of a parameter before training: norms 1, biases 0, the others 0.02 wide."""
        if name.endswith("bias"):
            return 0.0, 0.0
        return (1.0, 0.0) if "norm" in name else (0.0, 0.02)

    @property
    def abilities(self) -> frozenset[str]:
        """What the model can do: names of ``ABILITIES``."""
        return self.config.abilities

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.embedding.weight.dtype

    def state_bytes(self, batch: int, capacity: int) -> int:
        """Bytes of a state."""
        return batch * self.config.state_numbers(capacity) * self.dtype.itemsize

    def pass_bytes(self, batch: int, places: int) -> int:
        """Bytes alive at the widest moment of a pass over so many new places without gradients; logits of the last."""
        numbers = places * self.config.pass_numbers() + 3 * self.config.vocabulary
        return batch * numbers * self.dtype.itemsize

    def check_ids(self, ids_BT: Tensor, start: int) -> None:
        """Raises RequestError for what can be told without reading the ids; ``start`` places were read before."""
        if ids_BT.dim() != 2 or 0 in ids_BT.shape or ids_BT.dtype not in (torch.int64, torch.int32):
            raise RequestError(
                f"model: ids of shape {tuple(ids_BT.shape)} and {ids_BT.dtype}; they must be int64 or int32 of shape "
                "(B, T), one row per text, none empty"
            )
        if start + ids_BT.shape[1] > self.config.context:
            raise RequestError(
                f"model: the text has {start + ids_BT.shape[1]} tokens; the context is {self.config.context}; "
                "shorten the text"
            )
