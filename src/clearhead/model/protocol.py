"""The interface of every kind of model. Other packages use ``Network`` and never ask for the kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from clearhead.attend import FULL, Mask
from clearhead.errors import OptionError, RequestError
from clearhead.model.config import ModelConfig
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.cross_attention import CrossAttention
from clearhead.model.parts.cross_entropy import linear_cross_entropy
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.positions import Turn
from clearhead.model.parts.stream import Adds, Step
from clearhead.model.state import State
from clearhead.tap import Site

# What a model can do: a description, and how to use it.
ABILITIES = {
    "next tokens": ("predicts the next token", "let it write (clearhead generate)"),
    "text to text": ("translates one text into another", "translate (clearhead translate)"),
    "masked tokens": ("predicts masked tokens", "fill masks (clearhead fill)"),
    "vectors": ("turns texts into vectors", "take vectors of texts (in Python: clearhead.vectors)"),
    "pairs": ("reads two texts as a pair", "look at pairs of texts (clearhead look --pair)"),
}


class Able(Protocol):
    """A network, or the config of one."""

    @property
    def abilities(self) -> frozenset[str]: ...


def needs(model: Able, ability: str, what: str, *others: str) -> None:
    """Raises OptionError, saying what the model can do instead, if it has neither this ability nor one of the others.

    Abilities are names in ``ABILITIES``.
    """
    wanted = (ability, *others)
    if not model.abilities & set(wanted):
        ways = [way for name, (_, way) in ABILITIES.items() if name in model.abilities]
        instead = f"; with this one you can {' or '.join(ways)}" if ways else ""
        raise OptionError(f"{what} needs a model that {' or '.join(ABILITIES[name][0] for name in wanted)}{instead}")


class Network(nn.Module, ABC):
    """A model: ids -> logits. Use ``build`` or ``skeleton`` to make one; the constructor does not initialise weights.

    embedding: of the tokens, the first layer. head: the output layer; None if it is the embedding. border: the first
    place from which all places of a text are rotated differently (LongRoPE), which a state cannot cross; None = no such
    place. rewinds: whether a state can forget its last places; recurrent ones cannot. resumes: whether a pass can start
    in the middle (``onward``). types: number of token types (``types_BT``).
    """

    rewinds: ClassVar[bool] = True
    resumes: ClassVar[bool] = False
    border: int | None = None
    types: int = 0
    embedding: Embedding

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config: ModelConfig = config
        self.head: Linear | None = None

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
        smoothing: float = 0.0,
    ) -> Tensor:
        """logits_BTV in the weights' dtype (logits_B1V of the last place if ``last``), or the loss, given targets.

        ``mask`` is combined with the model's own. With a state, ``ids_BT`` holds only the new places, but the mask
        covers all. ``places_BT`` gives the tokens' positions if not 0, 1, 2, ... (left padding), ``types_BT`` which
        text of a pair each belongs to. ``smoothing``: see ``loss``.
        Raises RequestError if the text exceeds the context length, or ids or places are out of range.
        (On CUDA the kernel catches ids outside the vocabulary: checking here would wait for the device.)
        """
        x_BTE = self.hidden(ids_BT, mask=mask, places_BT=places_BT, types_BT=types_BT, state=state)
        if targets_BT is not None:
            return self.loss(x_BTE, targets_BT, smoothing)
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

    def onward(self, x_BTE: Tensor, after: Site) -> Tensor:
        """x_BTE as ``hidden`` gives it, from the residual stream at a site: ``residual`` of a layer, or ``embedding``.

        The stream is shown at that site first. The texts are whole and unpadded. Raises NotImplementedError in a kind
        of model without it (``resumes`` is False).
        """
        raise NotImplementedError

    @abstractmethod
    def sites(self) -> dict[Site, int]:
        """Every site that a pass shows or that attends, with its number of query heads, or 0."""

    def projections(self) -> dict[Site, Tensor]:
        """weight_EF of each attention's output projection, W_O, where F is heads x head width."""
        parts = (step.part for step in self.stream() if isinstance(step, Adds))
        return {part.site: part.out.matrix for part in parts if isinstance(part, Attention | CrossAttention)}

    @abstractmethod
    def empty_state(self, batch: int, capacity: int) -> State:
        """A new state in the weights' dtype and on their device. Called by ``state``."""

    def state(self, batch: int, capacity: int) -> State:
        """A new state for generating ``batch`` rows of up to ``capacity`` places.

        Raises OptionError if the model does not generate, RequestError if ``capacity`` exceeds the context length.
        """
        needs(self, "next tokens", "a state to write from", "text to text")
        if capacity > self.config.context:
            raise RequestError(
                f"state: {capacity} places were asked for; the model's context is {self.config.context} tokens"
            )
        return self.empty_state(batch, capacity)

    def translating(
        self, sources: Sequence[Sequence[int]], capacity: int, beams: int = 1, *, known: State | None = None
    ) -> State:
        """A new state for translating these texts, which have been read. ``capacity`` is as in ``state``.

        beams: rows for each text, one after another; ``State.select`` must keep them together
        known: a state of this network that is no longer needed; its memory may be used again

        Raises OptionError if the model does not translate, RequestError for ids or lengths that ``forward`` refuses.
        """
        needs(self, "text to text", "translating")
        raise NotImplementedError

    @property
    def output(self) -> Embedding | Linear:
        """The output layer, whose ``weight`` is weight_VE; the embedding if tied (Press and Wolf 2017)."""
        return self.embedding if self.head is None else self.head

    @property
    def source_embedding(self) -> Embedding:
        """The embedding of source texts; the same one, unless the config gives the source its own."""
        return self.embedding

    @property
    def output_bias(self) -> Tensor | None:
        """bias_V added to the logits; None if there is none."""
        return None

    @property
    def softcap(self) -> float | None:
        """c in c tanh(logit / c); None if logits are not capped."""
        return None

    def stream(self) -> Sequence[Step]:
        """What happens to the residual stream between the embedding and the output layer, in order.

        Empty for a model without a residual stream.
        """
        return ()

    def turn(self, layer: int, places_BT: Tensor) -> Turn | None:
        """The rotations of queries and keys in a layer, at these places; None if it rotates none."""
        return None

    def finish(self, x_BTE: Tensor) -> Tensor:
        """The residual stream after the last layer -> what ``hidden`` gives: its final norm, if there is one."""
        return x_BTE

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV: each place's product with the output layer."""
        return self.embedding.logits(x_BTE) if self.head is None else self.head(x_BTE)

    def loss(self, x_BTE: Tensor, targets_BT: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy summed over all targets >= 0, in nats, float32 or wider.

        ``smoothing`` is the share of each target's probability that is spread evenly over all ids.
        """
        x_NE, targets_N = x_BTE.flatten(0, 1), targets_BT.flatten()
        return linear_cross_entropy(
            x_NE, self.output.matrix, targets_N, self.softcap, bias_V=self.output_bias, smoothing=smoothing
        )

    def fresh(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation for initialising a parameter: norms are 1, biases 0, the rest have std 0.02."""
        if name.endswith("bias"):
            return 0.0, 0.0
        return (1.0, 0.0) if "norm" in name else (0.0, 0.02)

    def initialise(self, generator: torch.Generator) -> None:
        """Fills every weight with its initial values, as ``fresh`` says."""
        for name, parameter in self.named_parameters():
            mean, std = self.fresh(name)
            if std:
                nn.init.normal_(parameter, mean, std, generator=generator)
            else:
                nn.init.constant_(parameter, mean)

    @property
    def abilities(self) -> frozenset[str]:
        """What the model can do: names in ``ABILITIES``."""
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
        """Size of a state in bytes."""
        return batch * self.config.state_numbers(capacity) * self.dtype.itemsize

    def pass_bytes(self, batch: int, places: int) -> int:
        """Peak bytes of a forward pass over new places, without gradients, with logits of the last place only."""
        numbers = places * self.config.pass_numbers() + 3 * self.config.vocabulary
        return batch * numbers * self.dtype.itemsize

    def check_ids(self, ids_BT: Tensor, start: int) -> None:
        """Raises RequestError for a wrong shape, dtype or length. ``start`` places were read before."""
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
