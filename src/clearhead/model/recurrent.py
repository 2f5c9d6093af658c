"""Recurrent models: LSTM and GRU, each with or without attention over earlier places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from clearhead import tap
from clearhead.attend import Mask, causal, window
from clearhead.model.carried import Carried
from clearhead.model.config import DecoderConfig
from clearhead.model.layered import STACK, Layer, Layered, LayeredConfig
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.config import AttentionConfig
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import begins
from clearhead.model.parts.recurrence import CELLS, Piece, Recurrence, pieces
from clearhead.model.parts.stream import Adds, Step
from clearhead.model.registry import register
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(LayeredConfig):
    """Layers of x + out(recurrence(norm x))."""

    cell: ClassVar[str]  # in ``CELLS``

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """Half as many layers."""
        return {"layers": -(-decoder.layers // 2)}

    @property
    def attending(self) -> AttentionConfig | None:
        """The attention of the last layer, if it has one."""
        return None

    def layer_parameters(self) -> int:
        """The gates, each with two biases (as in PyTorch), and the projection back into the residual stream."""
        E, H = self.width, self.hidden
        return CELLS[self.cell].gates * H * (E + H + 2) + H * E

    def state_numbers(self, places: int) -> int:
        """What each layer carries on, however many places there are."""
        return self.layers * self.hidden * CELLS[self.cell].carried

    def pass_numbers(self) -> int:
        """A layer's input and output, its gates and their results."""
        return 4 * self.width + (CELLS[self.cell].gates + 4) * self.hidden

    def training_numbers(self) -> int:
        """Per layer: 4 widths, the gates with their gradients, and what is carried on."""
        return self.layers * (4 * self.width + (2 * CELLS[self.cell].gates + 4) * self.hidden)

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        whole = super().described()
        parts = {
            "recurrence": f"{self.cell} of {self.hidden} units in each layer",
            "norm": f"{self.norm.kind}, before each part",
            "reach": "unbounded: the state carries on what was read",
        }
        return {"layers": whole.pop("layers"), **parts, **whole}


@dataclass(frozen=True, kw_only=True)
class AttentiveConfig(RecurrentConfig):
    """As RecurrentConfig, with attention over all places so far in the last layer (Luong et al. 2015, 3.1)."""

    attention: AttentionConfig

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """Half as many layers, and the decoder's attention, without a window."""
        return {**super().layers_of(decoder), "attention": replace(decoder.attention, window=None)}

    @property
    def attending(self) -> AttentionConfig | None:
        """The attention of the last layer."""
        return self.attention

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        return super().parameters() + self.attention.parameters(self.width) + self.norm.parameters(self.width)

    def state_numbers(self, places: int) -> int:
        """What each layer carries on, and the keys and values of the attention."""
        _, keys, values = self.attention.projections
        return super().state_numbers(places) + (keys + values) * places

    def pass_numbers(self) -> int:
        """The larger of the two parts."""
        queries, keys, _ = self.attention.projections
        return max(super().pass_numbers(), 4 * self.width + 2 * (queries + keys))

    def attention_numbers(self) -> tuple[int, int, int]:
        """The widths of the projections."""
        return self.attention.projections

    def training_numbers(self) -> int:
        """The recurrences, and one attention part as in a Transformer."""
        return super().training_numbers() + 4 * self.width + 3 * sum(self.attention.projections)

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        seen = "" if self.attention.window is None else f", window of {self.attention.window:,} tokens"
        parts = super().described()
        return {"layers": parts.pop("layers"), "attention": f"{self.attention}, in the last layer{seen}", **parts}


@dataclass(frozen=True, kw_only=True)
class LSTMConfig(RecurrentConfig):
    """Long short-term memory."""

    kind: ClassVar[str] = "lstm"
    architecture: ClassVar[str] = "lstm"
    cell: ClassVar[str] = "LSTM"


@dataclass(frozen=True, kw_only=True)
class GRUConfig(RecurrentConfig):
    """Gated recurrent units."""

    kind: ClassVar[str] = "gru"
    architecture: ClassVar[str] = "gru"
    cell: ClassVar[str] = "GRU"


@dataclass(frozen=True, kw_only=True)
class LSTMAttentionConfig(AttentiveConfig):
    """Long short-term memory with attention."""

    kind: ClassVar[str] = "lstm-attention"
    architecture: ClassVar[str] = "lstm-attention"
    cell: ClassVar[str] = "LSTM"


@dataclass(frozen=True, kw_only=True)
class GRUAttentionConfig(AttentiveConfig):
    """Gated recurrent units with attention."""

    kind: ClassVar[str] = "gru-attention"
    architecture: ClassVar[str] = "gru-attention"
    cell: ClassVar[str] = "GRU"


class Prepared(NamedTuple):
    """The pieces of a pass, and the mask of its attention."""

    cut: list[Piece]
    mask: Mask


class RecurrentLayer(Layer):
    """y = x + out(recurrence(norm x)); with attention, y + attention(norm y)."""

    def __init__(self, config: RecurrentConfig, number: int, attention: AttentionConfig | None) -> None:
        super().__init__(config, number)
        self.site, self.heads = Site(number, stack=STACK), 0 if attention is None else attention.heads
        self.norm = norm(config.norm, config.width)
        self.recurrence = Recurrence(config.cell, config.width, config.hidden)
        self.out = Linear(config.hidden, config.width)
        self.attention_norm = None if attention is None else norm(config.norm, config.width)
        self.attention = None if attention is None else Attention(config.width, attention, config.norm, self.site)

    def steps(self) -> list[Step]:
        """What the layer does to the stream: the recurrence adds, then the attention, if it has one."""
        if self.attention is None:
            return super().steps()
        return [*super().steps(), Adds(self.number, self.attention, self.site, self.attention_norm)]

    def forward(self, x_BTE: Tensor, given: Prepared, state: Carried | None) -> Tensor:
        """x_BTE -> x_BTE."""
        carried = self.recurrence.empty(len(x_BTE), x_BTE) if state is None else state.layers[self.number]
        h_BTH, carried = self.recurrence(self.norm(x_BTE), carried, given.cut)
        if state is not None:
            state.layers[self.number] = carried
        x_BTE = x_BTE + self.dropped(self.out(h_BTH))
        if self.attention is None or self.attention_norm is None:
            return x_BTE
        read_BTE = self.attention(self.attention_norm(x_BTE), turn=None, mask=given.mask, state=state)
        return x_BTE + self.dropped(tap.shown(self.site, read_BTE))


class Recurrent(Layered):
    """Recurrent layers, the last one with attention if the config has it."""

    config: RecurrentConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def layer(self, number: int) -> Layer:
        """A recurrent layer; the last one has the attention, if any."""
        config = self.config
        return RecurrentLayer(config, number, config.attending if number == config.layers - 1 else None)

    def prepared(self, mask: Mask, batch: int, start: int, places: int) -> Prepared:
        """The pieces of the pass, and the mask of the attention."""
        begins_BT = begins(mask, batch, start, places, self.device) if mask.parts else None
        attention = self.config.attending
        own = causal() if attention is None or attention.window is None else causal() & window(attention.window)
        return Prepared(pieces(begins_BT, places), own & mask)

    def empty_state(self, batch: int, capacity: int) -> Carried:
        """Zeros for every layer, and the KV cache of the attention."""
        like, attention = torch.empty(0, dtype=self.dtype, device=self.device), self.config.attending
        heads = {} if attention is None else {"kv_heads": attention.kv_heads, "head_width": attention.head_width}
        layers = [cast(RecurrentLayer, layer).recurrence.empty(batch, like) for layer in self.layers]
        return Carried(layers, batch=batch, capacity=capacity, **heads)

    def initialise(self, generator: torch.Generator) -> None:
        """As ``Network.initialise``, except for the recurrences (``Recurrence.initialise``)."""
        super().initialise(generator)
        for layer in self.layers:
            cast(RecurrentLayer, layer).recurrence.initialise(generator)


for each in (LSTMConfig, GRUConfig, LSTMAttentionConfig, GRUAttentionConfig):
    register(each, Recurrent)
