"""What recurrent and convolutional translators share: two stacks, an embedding, and the state carried on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from clearhead import tap
from clearhead.attend import FULL, Mask
from clearhead.model.carried import Carried, Carry, carried
from clearhead.model.config import DecoderConfig, ModelConfig
from clearhead.model.parts.config import check_sizes
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.parts.places import check_no_types, check_padding, reach_of, spans_of
from clearhead.model.parts.source import Source
from clearhead.model.sizing import with_hidden
from clearhead.model.state import State
from clearhead.model.translator import Translator
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True)
class LayeredTranslatorConfig(ModelConfig):
    """Layers that read the source, and layers that write the target, each of these with ``attention`` to the source.

    layers: those of the decoder; context: the longest text on either side, in tokens
    """

    learns: ClassVar[str] = "text to text"

    hidden: int  # width inside a layer: units of a recurrence, or gated channels of a convolution
    encoder_layers: int  # number of the encoder's layers

    def check(self) -> None:
        """Raises ConfigError for sizes out of range."""
        check_sizes("model", self, "hidden", "encoder_layers")

    @classmethod
    def equal(cls, decoder: DecoderConfig) -> Self:
        """Chooses the width inside its layers so that the number of weights fits."""
        return with_hidden(cls, decoder, **cls.layers_of(decoder))

    @classmethod
    @abstractmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """The numbers of layers, and what else the model takes from a decoder of equal size."""

    @property
    def abilities(self) -> frozenset[str]:
        """It translates."""
        return frozenset({"text to text"})

    @property
    def depth(self) -> str:
        """How many layers there are in both stacks, in words."""
        return f"{self.encoder_layers} + {self.layers} layers"

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        layers = f"{self.encoder_layers} in the encoder, {self.layers} in the decoder, of width {self.width}"
        return {**super().described(), "layers": layers}


class LayeredTranslator(Translator):
    """ids, source -> logits. Both stacks share the embedding, and so does the output layer if tied.

    layers: those of the decoder, each with its attention to the source in ``cross``
    """

    rewinds: ClassVar[bool] = False
    config: Any  # of a subclass of LayeredTranslatorConfig
    layers: nn.ModuleList

    def __init__(self, config: LayeredTranslatorConfig) -> None:
        super().__init__(config)
        self.embedding = Embedding(config.vocabulary, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = None if config.tied else Linear(config.width, config.vocabulary)

    @abstractmethod
    def placed(self, x_BTE: Tensor, places_BT: Tensor, stack: str) -> Tensor:
        """The embedding plus positions, if the model has any."""

    @abstractmethod
    def encoded(self, x_BSE: Tensor, mask: Mask) -> Tensor:
        """x_BSF of a ``Source``, from its embedding."""

    @abstractmethod
    def decoded(self, x_BTE: Tensor, source: Source, mask: Mask, state: Carried | None) -> Tensor:
        """x_BTE as the output layer reads it, from the target's embedding."""

    @abstractmethod
    def carries(self, batch: int) -> list[Carry]:
        """What each layer of the decoder carries on, as zeros."""

    def read(self, source_BS: Tensor, mask: Mask = FULL, *, keep: bool = False) -> Source:
        """As ``Translator.read``. Places count from the first token of each text."""
        self.check_ids(source_BS, 0)
        check_padding(mask, self.config.kind)
        B, S = source_BS.shape
        if tap.watchers():
            tap.begin(S, 0, mask.spans(B, S), None, "encoder")
        places_BS = torch.arange(S, device=source_BS.device)[None]
        if mask.parts:
            places_BS = (places_BS - spans_of(mask, B, S, source_BS.device)[:, :1]).clamp(min=0)
        x_BSE = self.dropout(self.placed(self.embedding(source_BS), places_BS, "encoder"))
        x_BSE = self.encoded(tap.shown(Site(0, "embedding", "encoder"), x_BSE), mask)
        return Source(x_BSE=x_BSE, mask=mask, kept={} if keep else None)

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        source_BS: Tensor | None = None,
        source_mask: Mask = FULL,
    ) -> Tensor:
        """As ``Translator.hidden``. Masks may only hide padding."""
        check_no_types(types_BT)
        state = carried(state)
        start = 0 if state is None else state.length
        self.check_ids(ids_BT, start)
        check_padding(mask, self.config.kind)
        source = self.source(state, source_BS, source_mask)
        B, T = ids_BT.shape
        if places_BT is None:
            places_BT = torch.arange(start, start + T, device=ids_BT.device)[None]
        else:
            reach_of(places_BT, ids_BT, self.config.context)
        if tap.watchers():
            tap.begin(T, start, mask.spans(B, start + T), state, "decoder")
        x_BTE = self.dropout(self.placed(self.embedding(ids_BT), places_BT, "decoder"))
        x_BTE = self.decoded(tap.shown(Site(0, "embedding"), x_BTE), source, mask, state)
        if state is not None:
            state.advance(T)
        return x_BTE

    def empty_state(self, batch: int, capacity: int) -> Carried:
        """Zeros for every layer; a recurrence replaces them in its first pass, by what the source gives."""
        return Carried(self.carries(batch), batch=batch, capacity=capacity)

    def sites(self) -> dict[Site, int]:
        """Every site that a pass shows, with its number of query heads, or 0, the encoder's first."""
        c = self.config
        read = {Site(n, "residual", "encoder"): 0 for n in range(c.encoder_layers)}
        sites = {Site(0, "embedding", "encoder"): 0, **read, Site(0, "embedding"): 0}
        for n in range(c.layers):
            sites |= {Site(n, "cross"): c.attention.heads, Site(n, "residual"): 0}
        return sites

    def projections(self) -> dict[Site, Tensor]:
        """weight of each attention's output projection; its inputs are heads x head width."""
        crosses = [cast(Any, layer).cross for layer in self.layers]
        return {cross.site: cross.out.matrix for cross in crosses}
