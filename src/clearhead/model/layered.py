"""What recurrent and convolutional models share: layers that add to the residual stream, and no positions."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self, cast

from torch import Tensor, nn

from clearhead import tap
from clearhead.attend import FULL, Mask
from clearhead.model.carried import Carried, carried
from clearhead.model.config import DecoderConfig, ModelConfig
from clearhead.model.parts.config import NormConfig, check_sizes
from clearhead.model.parts.dropping import Dropping
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import check_no_types, check_texts
from clearhead.model.parts.stream import Adds, Maps, Step
from clearhead.model.protocol import Network
from clearhead.model.sizing import with_hidden
from clearhead.model.state import State
from clearhead.tap import Site

STACK = "decoder"  # of their sites, as they read from left to right


@dataclass(frozen=True, kw_only=True)
class LayeredConfig(ModelConfig):
    """Layers of x + out(part(norm x)), a norm, and the output layer."""

    hidden: int  # width inside a layer: units of a recurrence, or gated channels of a convolution
    norm: NormConfig = field(default_factory=NormConfig)

    def check(self) -> None:
        """Raises ConfigError for sizes out of range."""
        check_sizes("model", self, "hidden")

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> Self:
        """Chooses the width inside its layers so that the number of weights fits."""
        return with_hidden(cls, decoder, norm=decoder.norm, **cls.layers_of(decoder))

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """The number of layers, and what else the model takes from a decoder of equal size."""
        return {"layers": decoder.layers}

    @property
    def abilities(self) -> frozenset[str]:
        """Next tokens, and vectors from pooled hidden states."""
        return frozenset({"next tokens", "vectors"})

    @abstractmethod
    def layer_parameters(self) -> int:
        """Number of trained parameters in one layer, without its norm."""

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        norms = (self.layers + 1) * self.norm.parameters(self.width)
        return self.vocabulary * self.width * self.matrices + self.layers * self.layer_parameters() + norms


class Layer(Dropping):
    """One layer of a ``Layered`` model: (x_BTE, result of ``prepared``, state) -> x_BTE.

    heads: number of query heads; 0 without attention
    """

    heads: int = 0

    def __init__(self, config: LayeredConfig, number: int) -> None:
        super().__init__()
        self.number, self.dropout = number, config.dropout

    def steps(self) -> list[Step]:
        """What the layer does to the stream."""
        return [Adds(self.number, self)]


class Layered(Network):
    """ids -> logits through an embedding, layers and a final norm. Reads from left to right."""

    rewinds = False
    resumes = True
    config: LayeredConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def __init__(self, config: LayeredConfig) -> None:
        super().__init__(config)
        self.embedding = Embedding(config.vocabulary, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(self.layer(n) for n in range(config.layers))
        self.norm = norm(config.norm, config.width)
        self.head = None if config.tied else Linear(config.width, config.vocabulary)

    @abstractmethod
    def layer(self, number: int) -> Layer:
        """Makes layer ``number``, counted from 0."""

    @abstractmethod
    def prepared(self, mask: Mask, batch: int, start: int, places: int) -> Any:
        """What every layer needs for a pass over ``places`` new places after ``start``."""

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """x_BTE after the final norm. Ignores ``places_BT``, as there are no positions.

        Raises the errors of ``forward``, and RequestError for token types and for masks that hide more than padding,
        other documents and later places.
        """
        check_no_types(types_BT)
        state = carried(state)
        start = 0 if state is None else state.length
        self.check_ids(ids_BT, start)
        check_texts(mask, self.config.kind)
        B, T = ids_BT.shape
        if tap.watchers():
            tap.begin(T, start, mask.spans(B, start + T), state, STACK)
        x_BTE = tap.shown(Site(0, "embedding", STACK), self.dropout(self.embedding(ids_BT)))
        x_BTE = self._layers(x_BTE, 0, self.prepared(mask, B, start, T), state)
        if state is not None:
            state.advance(T)
        return self.finish(x_BTE)

    def _layers(self, x_BTE: Tensor, first: int, prepared: Any, state: Carried | None = None) -> Tensor:
        """x_BTE through the layers from ``first`` on."""
        for number, layer in list(enumerate(self.layers))[first:]:
            x_BTE = tap.shown(Site(number, "residual", STACK), layer(x_BTE, prepared, state))
        return x_BTE

    def onward(self, x_BTE: Tensor, after: Site) -> Tensor:
        """As ``Network.onward``."""
        B, T, _ = x_BTE.shape
        if tap.watchers():
            tap.begin(T, 0, FULL.spans(B, T), None, STACK)
        x_BTE = tap.shown(after, x_BTE)
        first = 0 if after.kind == "embedding" else after.layer + 1
        return self.finish(self._layers(x_BTE, first, self.prepared(FULL, B, 0, T)))

    def finish(self, x_BTE: Tensor) -> Tensor:
        """The final norm."""
        return self.norm(x_BTE)

    def stream(self) -> list[Step]:
        """What happens to the residual stream, in order."""
        return [*(step for layer in self.layers for step in cast(Layer, layer).steps()), Maps(self.norm)]

    def sites(self) -> dict[Site, int]:
        """Every site a pass shows, with its number of query heads, or 0."""
        sites = {Site(0, "embedding", STACK): 0}
        for number, layer in enumerate(self.layers):
            heads = cast(Layer, layer).heads
            sites |= {Site(number, stack=STACK): heads} if heads else {}
            sites[Site(number, "residual", STACK)] = 0
        return sites

    def fresh(self, name: str) -> tuple[float, float]:
        """As ``Network.fresh``, but the std of projections into the residual stream is scaled by 1/sqrt(layers).

        Radford et al. 2019, 2.3: by the number of parts that add to it.
        """
        mean, std = super().fresh(name)
        if name.endswith("out.weight"):
            std /= math.sqrt(self.config.layers)
        return (mean - self.config.norm.offset if mean else mean), std
