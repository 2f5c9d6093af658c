"""Recurrent translators: the encoder reads in both directions, the decoder attends to it (Bahdanau et al. 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from clearhead import tap
from clearhead.attend import Mask
from clearhead.errors import ConfigError
from clearhead.model.carried import Carried, Carry
from clearhead.model.config import DecoderConfig
from clearhead.model.layered_translator import LayeredTranslator, LayeredTranslatorConfig
from clearhead.model.parts.config import AttentionConfig, NormConfig
from clearhead.model.parts.cross_attention import CrossAttention
from clearhead.model.parts.dropping import Dropping
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import begins, is_text, spans_of
from clearhead.model.parts.recurrence import CELLS, Piece, Recurrence, pieces
from clearhead.model.parts.source import Source
from clearhead.model.registry import register
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True)
class RecurrentTranslatorConfig(LayeredTranslatorConfig):
    """Recurrences in both stacks, each of the decoder's followed by the attention of Luong et al. 2015 (3.1).

    Each part adds to a residual stream and reads it through a norm, and attention has several heads, as in Chen et al.
    2018 (2.2). Scores are dot products of projected states, so there are no positions.
    """

    cell: ClassVar[str]  # in ``CELLS``

    attention: AttentionConfig
    norm: NormConfig = field(default_factory=NormConfig)

    def check(self) -> None:
        """Raises ConfigError for sizes out of range, and for a window or sinks."""
        super().check()
        if self.attention.sinks or self.attention.window is not None:
            raise ConfigError("model: attention to a source has neither sinks nor a window; leave them out")

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """Half of the layers in each stack, and the decoder's attention, without a window."""
        halves = {"encoder_layers": -(-decoder.layers // 2), "layers": max(1, decoder.layers // 2)}
        return {**halves, "attention": replace(decoder.attention, window=None), "norm": decoder.norm}

    def attention_numbers(self) -> tuple[int, int, int]:
        """The widths of the projections."""
        return self.attention.projections

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        E, H, one = self.width, self.hidden, self.norm.parameters(self.width)
        gates = CELLS[self.cell].gates * H * (E + H + 2)
        reader = 2 * gates + 2 * H * E + one
        writer = gates + 2 * H * E + self.attention.parameters(E) + 2 * one
        return self.vocabulary * E * self.matrices + self.encoder_layers * reader + self.layers * writer + 2 * one

    def state_numbers(self, places: int) -> int:
        """What each layer carries on, and the keys and values of a source that fills the context."""
        _, keys, values = self.attention.projections
        return self.layers * (self.hidden * CELLS[self.cell].carried + (keys + values) * self.context)

    def pass_numbers(self) -> int:
        """A layer's input and output, its gates and their results in both directions, queries, keys and values."""
        queries, keys, _ = self.attention.projections
        return max(6 * self.width + (CELLS[self.cell].gates + 4) * self.hidden, 4 * self.width + 2 * (queries + keys))

    def training_numbers(self) -> int:
        """Per recurrence: 4 widths, the gates with their gradients, what is carried on; and the attention's parts."""
        each = 4 * self.width + (2 * CELLS[self.cell].gates + 4) * self.hidden
        crossing = 4 * self.width + 3 * sum(self.attention.projections)
        return (2 * self.encoder_layers + self.layers) * each + self.layers * crossing

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        whole = super().described()
        parts = {
            "attention": f"{self.attention}, from each layer of the decoder to the source",
            "recurrence": f"{self.cell} of {self.hidden} units, in the encoder one in each direction",
            "norm": f"{self.norm.kind}, before each part",
        }
        return {"layers": whole.pop("layers"), **parts, **whole}


@dataclass(frozen=True, kw_only=True)
class LSTMTranslatorConfig(RecurrentTranslatorConfig):
    """Long short-term memory."""

    kind: ClassVar[str] = "lstm-translator"
    architecture: ClassVar[str] = "lstm-attention"
    cell: ClassVar[str] = "LSTM"


@dataclass(frozen=True, kw_only=True)
class GRUTranslatorConfig(RecurrentTranslatorConfig):
    """Gated recurrent units."""

    kind: ClassVar[str] = "gru-translator"
    architecture: ClassVar[str] = "gru-attention"
    cell: ClassVar[str] = "GRU"


class EncoderPass(NamedTuple):
    """A pass of the encoder: its pieces, and for each cell the one it swaps with when the text is reversed."""

    cut: list[Piece]
    turned_BS: Tensor


class RecurrentDecoderPass(NamedTuple):
    """A pass of the decoder: its pieces, its source, the source's mean if a text begins in it, and its first place."""

    cut: list[Piece]
    source: Source
    mean_BE: Tensor | None
    start: int


class RecurrentEncoderLayer(Dropping):
    """x + out([onward; back](norm x)), the second recurrence from the last token to the first."""

    def __init__(self, config: RecurrentTranslatorConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = norm(config.norm, config.width)
        self.onward = Recurrence(config.cell, config.width, config.hidden)
        self.back = Recurrence(config.cell, config.width, config.hidden)
        self.out = Linear(2 * config.hidden, config.width)

    def forward(self, x_BSE: Tensor, given: EncoderPass) -> Tensor:
        """x_BSE -> x_BSE."""
        y_BSE = self.norm(x_BSE)
        h_BSH, _ = self.onward(y_BSE, self.onward.empty(len(y_BSE), y_BSE), given.cut)
        back_BSH, _ = self.back(_turned(y_BSE, given), self.back.empty(len(y_BSE), y_BSE), given.cut)
        return x_BSE + self.dropped(self.out(torch.cat((h_BSH, _turned(back_BSH, given)), dim=-1)))


def _turned(x_BSE: Tensor, given: EncoderPass) -> Tensor:
    """Each row's text reversed, in the same cells."""
    return x_BSE.gather(1, given.turned_BS[..., None].expand(-1, -1, x_BSE.shape[-1]))


class RecurrentDecoderLayer(Dropping):
    """y = x + out(recurrence(norm x)), y + cross(norm y).

    The recurrence starts with tanh(W s), s being the mean of what the encoder gave (Sennrich et al. 2017, "Nematus").
    """

    def __init__(self, config: RecurrentTranslatorConfig, number: int) -> None:
        super().__init__()
        self.number, self.dropout = number, config.dropout
        self.norm = norm(config.norm, config.width)
        self.first = Linear(config.width, config.hidden)
        self.recurrence = Recurrence(config.cell, config.width, config.hidden)
        self.out = Linear(config.hidden, config.width)
        self.cross_norm = norm(config.norm, config.width)
        self.cross = CrossAttention(config.width, config.attention, config.norm, Site(number, "cross"))

    def forward(self, x_BTE: Tensor, given: RecurrentDecoderPass, state: Carried | None) -> Tensor:
        """x_BTE -> x_BTE."""
        first = None if given.mean_BE is None else self._first(given.mean_BE)
        carried = first if state is None or not given.start else state.layers[self.number]
        assert carried is not None, "a pass that begins its texts has the mean of their sources"
        h_BTH, carried = self.recurrence(self.norm(x_BTE), carried, given.cut, first)
        if state is not None:
            state.layers[self.number] = carried
        x_BTE = x_BTE + self.dropped(self.out(h_BTH))
        crossed_BTE = tap.shown(self.cross.site, self.cross(self.cross_norm(x_BTE), given.source))
        return x_BTE + self.dropped(crossed_BTE)

    def _first(self, mean_BE: Tensor) -> Carry:
        """The state before the first token: the cells of an LSTM are 0."""
        h_BH = torch.tanh(self.first(mean_BE))
        return (h_BH, torch.zeros_like(h_BH))[: self.recurrence.cell.carried]


class RecurrentTranslator(LayeredTranslator):
    """Two stacks of recurrent layers, each with a norm at its end."""

    config: RecurrentTranslatorConfig

    def __init__(self, config: RecurrentTranslatorConfig) -> None:
        super().__init__(config)
        self.encoder = nn.ModuleList(RecurrentEncoderLayer(config) for _ in range(config.encoder_layers))
        self.encoder_norm = norm(config.norm, config.width)
        self.layers = nn.ModuleList(RecurrentDecoderLayer(config, number) for number in range(config.layers))
        self.norm = norm(config.norm, config.width)

    def placed(self, x_BTE: Tensor, places_BT: Tensor, stack: str) -> Tensor:
        """The embedding alone: a recurrence knows what came before."""
        return x_BTE

    def encoded(self, x_BSE: Tensor, mask: Mask) -> Tensor:
        """x_BSE of a ``Source``."""
        B, S, _ = x_BSE.shape
        cells_BS = torch.arange(S, device=x_BSE.device).expand(B, -1)
        turned_BS, begins_BS = cells_BS.flip(1), None
        if mask.parts:
            start_B1, stop_B1 = spans_of(mask, B, S, x_BSE.device).split(1, dim=1)
            text_BS = (cells_BS >= start_B1) & (cells_BS < stop_B1)
            turned_BS = torch.where(text_BS, start_B1 + stop_B1 - 1 - cells_BS, cells_BS)
            begins_BS = begins(mask, B, 0, S, x_BSE.device)
        given = EncoderPass(pieces(begins_BS, S), turned_BS)
        for number, layer in enumerate(self.encoder):
            x_BSE = tap.shown(Site(number, "residual", "encoder"), layer(x_BSE, given))
        return self.encoder_norm(x_BSE)

    def decoded(self, x_BTE: Tensor, source: Source, mask: Mask, state: Carried | None) -> Tensor:
        """x_BTE as the output layer reads it."""
        B, T, _ = x_BTE.shape
        start = 0 if state is None else state.length
        begins_BT = begins(mask, B, start, T, x_BTE.device) if mask.parts else None
        begun = not start or begins_BT is not None
        given = RecurrentDecoderPass(pieces(begins_BT, T), source, _mean(source) if begun else None, start)
        for number, layer in enumerate(self.layers):
            x_BTE = tap.shown(Site(number, "residual"), layer(x_BTE, given, state))
        return self.norm(x_BTE)

    def carries(self, batch: int) -> list[Carry]:
        """Zeros for each layer."""
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        return [cast(RecurrentDecoderLayer, layer).recurrence.empty(batch, like) for layer in self.layers]

    def fresh(self, name: str) -> tuple[float, float]:
        """As ``Network.fresh``, but projections into a stream have their std scaled by 1/sqrt(parts that add to it)."""
        mean, std = super().fresh(name)
        if name.endswith("out.weight"):
            parts = self.config.encoder_layers if name.startswith("encoder.") else 2 * self.config.layers
            std /= math.sqrt(parts)
        return (mean - self.config.norm.offset if mean else mean), std

    def initialise(self, generator: torch.Generator) -> None:
        """As ``Network.initialise``, except for the recurrences (``Recurrence.initialise``)."""
        super().initialise(generator)
        for module in self.modules():
            if isinstance(module, Recurrence):
                module.initialise(generator)


def _mean(source: Source) -> Tensor:
    """mean_BE of each decoder row's source, without padding."""
    x_BSE = source.x_BSE
    if not source.mask.parts:
        mean_BE = x_BSE.mean(dim=1)
    else:
        text_BS1 = is_text(source.mask, x_BSE.shape[0], x_BSE.shape[1], x_BSE.device)[..., None]
        mean_BE = x_BSE.masked_fill(~text_BS1, 0.0).sum(dim=1) / text_BS1.sum(dim=1).clamp(min=1)
    return mean_BE if source.beams == 1 else mean_BE.repeat_interleave(source.beams, dim=0)


each: Any
for each in (LSTMTranslatorConfig, GRUTranslatorConfig):
    register(each, RecurrentTranslator)
