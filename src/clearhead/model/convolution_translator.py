"""Convolutional translators (Gehring et al. 2017, "Convolutional Sequence to Sequence Learning")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead import tap
from clearhead.attend import Mask, Score, attend
from clearhead.errors import ConfigError, many
from clearhead.model.carried import Carried, Carry
from clearhead.model.config import DecoderConfig
from clearhead.model.layered_translator import LayeredTranslator, LayeredTranslatorConfig
from clearhead.model.parts.config import AttentionConfig, check_sizes
from clearhead.model.parts.dropping import Dropping
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.places import is_text, spans_of, taps
from clearhead.model.parts.positions import Learned
from clearhead.model.parts.source import Projected, Source
from clearhead.model.registry import register
from clearhead.tap import Site

HALVED = math.sqrt(0.5)  # on each sum of two, which keeps the variance (3.5)


@dataclass(frozen=True, kw_only=True)
class ConvolutionTranslatorConfig(LayeredTranslatorConfig):
    """Gated convolutions over both sides of the source, and over the target so far; learned positions; no norms.

    hidden: width of the stream that layers add to; ``width`` is that of the embedding
    """

    kind: ClassVar[str] = "convolution-translator"
    architecture: ClassVar[str] = "convolution"

    kernel: int = 3  # number of places a convolution reads, including its own
    attention_heads: int = 1  # query heads of each layer's attention to the source; divides the width

    def check(self) -> None:
        """Raises ConfigError for sizes out of range, and for heads that do not divide the width."""
        super().check()
        check_sizes("model", self, "kernel", "attention_heads")
        if self.width % self.attention_heads:
            raise ConfigError(
                f"model: attention_heads is {self.attention_heads} and the width {self.width}; heads divide the width"
            )

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """As many layers in each stack."""
        return {"encoder_layers": decoder.layers, "layers": decoder.layers}

    @property
    def attention(self) -> AttentionConfig:
        """The attention of each decoder layer to the source: heads share the width, and scores are unscaled."""
        heads, head_width = self.attention_heads, self.width // self.attention_heads
        return AttentionConfig(heads=heads, kv_heads=heads, head_width=head_width, head_norm="none", scale=1.0)

    def attention_numbers(self) -> tuple[int, int, int]:
        """The widths of the projections."""
        return self.attention.projections

    def parameters(self) -> int:
        """Number of trained parameters, the tied output layer counted once."""
        E, H = self.width, self.hidden
        inward, outward = H * (E + 1), E * (H + 1)
        convolution = 2 * H * (self.kernel * H + 1)
        stacks = 2 * (inward + outward + self.context * E) + (self.encoder_layers + self.layers) * convolution
        return self.vocabulary * E * self.matrices + stacks + self.layers * (inward + outward)

    def state_numbers(self, places: int) -> int:
        """The inputs each layer will read again, and keys and values of a source that fills the context."""
        return self.layers * (self.kernel - 1) * self.hidden + 2 * self.width * self.context

    def pass_numbers(self) -> int:
        """A layer's input and output, what its kernel reads, values and gates, queries and what they found."""
        return (6 + 2 * self.kernel) * self.hidden + 6 * self.width

    def training_numbers(self) -> int:
        """Per layer: what its kernel reads, values, gates, their product and two sums; in the decoder, attention."""
        both = self.encoder_layers + self.layers
        return both * (7 + self.kernel) * self.hidden + self.layers * 4 * self.width + 8 * self.width

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        whole = super().described()
        back = 1 + self.layers * (self.kernel - 1)
        parts = {
            "attention": f"{self.attention}, from each layer of the decoder to the source",
            "convolution": f"GLU of {self.hidden} channels, {self.kernel} places each",
            "positions": "learned",
            "reach": f"a prediction depends on the whole source and on the last {many(back, 'token')} of the target",
        }
        return {"layers": whole.pop("layers"), **parts, **whole}


class GatedConvolution(Linear):
    """GLU(W [x_1; ...; x_k] + b), GLU(a, b) = a sigmoid(b), over k places side by side (3.2).

    nn.Conv1d's weight (2 H, H, k) with its last two axes swapped and joined.
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__(kernel * hidden, 2 * hidden, bias=True, rows=(hidden, hidden))
        self.kernel = kernel

    def forward(self, input: Tensor) -> Tensor:
        """x_BSH -> y_BTH with kernel - 1 fewer places."""
        places = input.shape[1] - self.kernel + 1
        read = torch.cat([input[:, first : first + places] for first in range(self.kernel)], dim=-1)
        return F.glu(super().forward(read), dim=-1)


class ConvolutionEncoderLayer(Dropping):
    """(x + GLU(convolution x)) sqrt(0.5), with zeros beyond both ends of a text."""

    def __init__(self, config: ConvolutionTranslatorConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.convolution = GatedConvolution(config.hidden, config.kernel)

    def forward(self, x_BSH: Tensor, text_BS1: Tensor | None) -> Tensor:
        """x_BSH -> x_BSH."""
        y_BSH = x_BSH if text_BS1 is None else x_BSH.masked_fill(~text_BS1, 0.0)
        beyond = self.convolution.kernel - 1
        y_BSH = F.pad(y_BSH, (0, 0, beyond // 2, beyond - beyond // 2))
        return HALVED * (x_BSH + self.dropped(self.convolution(y_BSH)))


class Attention(nn.Module):
    """c = sum of a_j (z_j + e_j), a = softmax(d . z), d = W h + b + g (3.3, eq. 1 and 2).

    z is what the encoder gives, e the embedding of the source, g that of the target. With m tokens in the source, c is
    multiplied by sqrt(m), as if all had equal weight (3.5). Scores are unscaled.
    """

    def __init__(self, config: ConvolutionTranslatorConfig, site: Site) -> None:
        super().__init__()
        self.site, self.heads = site, config.attention.heads
        self.score = Score(scale=config.attention.scale)
        self.query = Linear(config.hidden, config.width, bias=True)
        self.out = Linear(config.width, config.hidden, bias=True)

    def forward(self, x_BTH: Tensor, g_BTE: Tensor, source: Source, root_B11: Tensor) -> Tensor:
        """x_BTH -> c_BTH. ``root_B11``: sqrt(m)."""
        B, T, E = g_BTE.shape
        beams, D = source.beams, E // self.heads
        d_BTE = self.query(x_BTH) + g_BTE
        q_BHQD = d_BTE.reshape(B // beams, beams * T, self.heads, D).transpose(1, 2)
        k_BHSD, v_BHSD = source.projected(self.site.layer, self._split)
        o_BHQD = attend(q_BHQD, k_BHSD, v_BHSD, mask=source.mask, score=self.score, site=self.site)
        return root_B11 * self.out(o_BHQD.transpose(1, 2).reshape(B, T, E))

    def _split(self, x_BSF: Tensor) -> Projected:
        """k_BHSD and v_BHSD: z, and z + e."""
        both = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in x_BSF.chunk(2, dim=-1))
        k_BHSD, v_BHSD = both
        return k_BHSD, v_BHSD


class ConvolutionDecoderPass(NamedTuple):
    """A pass of the decoder. text_BT1: False for padding, None if there is none; root_B11: see ``Attention``."""

    embedded_BTE: Tensor
    source: Source
    text_BT1: Tensor | None
    root_B11: Tensor


class ConvolutionDecoderLayer(Dropping):
    """y = (x + GLU(convolution x)) sqrt(0.5), (y + c(y)) sqrt(0.5)."""

    def __init__(self, config: ConvolutionTranslatorConfig, number: int) -> None:
        super().__init__()
        self.number, self.dropout = number, config.dropout
        self.convolution = GatedConvolution(config.hidden, config.kernel)
        self.cross = Attention(config, Site(number, "cross"))

    def forward(self, x_BTH: Tensor, given: ConvolutionDecoderPass, state: Carried | None) -> Tensor:
        """x_BTH -> x_BTH."""
        B, T, H = x_BTH.shape
        text_BT1 = given.text_BT1
        own_BTH = x_BTH if text_BT1 is None else x_BTH.masked_fill(~text_BT1, 0.0)
        past_BPH = x_BTH.new_zeros(B, self.convolution.kernel - 1, H) if state is None else state.layers[self.number][0]
        y_BSH = torch.cat((past_BPH.to(own_BTH.dtype), own_BTH), dim=1)
        if state is not None:
            state.layers[self.number] = (y_BSH[:, T:],)
        y_BTH = HALVED * (x_BTH + self.dropped(self.convolution(y_BSH)))
        found_BTH = self.cross(y_BTH, given.embedded_BTE, given.source, given.root_B11)
        return HALVED * (y_BTH + self.dropped(tap.shown(self.cross.site, found_BTH)))


class ConvolutionTranslator(LayeredTranslator):
    """Two stacks of convolutions, each between two linear maps, from the embedding's width and back to it.

    Without the paper's weight normalisation, and without its scaling of the encoder's gradients.
    """

    config: ConvolutionTranslatorConfig

    def __init__(self, config: ConvolutionTranslatorConfig) -> None:
        super().__init__(config)
        E, H = config.width, config.hidden
        self.encoder_positions, self.positions = (Learned(config.context, E) for _ in range(2))
        self.encoder_enter, self.enter = (Linear(E, H, bias=True) for _ in range(2))
        self.encoder_leave, self.leave = (Linear(H, E, bias=True) for _ in range(2))
        self.encoder = nn.ModuleList(ConvolutionEncoderLayer(config) for _ in range(config.encoder_layers))
        self.layers = nn.ModuleList(ConvolutionDecoderLayer(config, number) for number in range(config.layers))

    def placed(self, x_BTE: Tensor, places_BT: Tensor, stack: str) -> Tensor:
        """The embedding with a trained vector for each place."""
        return (self.encoder_positions if stack == "encoder" else self.positions)(x_BTE, places_BT)

    def encoded(self, x_BSE: Tensor, mask: Mask) -> Tensor:
        """[z; z + e] of a ``Source``."""
        B, S, _ = x_BSE.shape
        text_BS1 = is_text(mask, B, S, x_BSE.device)[..., None] if mask.parts else None
        x_BSH = self.encoder_enter(x_BSE)
        for number, layer in enumerate(self.encoder):
            x_BSH = tap.shown(Site(number, "residual", "encoder"), layer(x_BSH, text_BS1))
        z_BSE = self.encoder_leave(x_BSH)
        return torch.cat((z_BSE, z_BSE + x_BSE), dim=-1)

    def decoded(self, x_BTE: Tensor, source: Source, mask: Mask, state: Carried | None) -> Tensor:
        """x_BTE as the output layer reads it."""
        B, T, _ = x_BTE.shape
        start = 0 if state is None else state.length
        text_BT1 = taps(mask, B, start, T, (0,), x_BTE.device) if mask.parts else None
        spans_A2 = spans_of(source.mask, B // source.beams, source.x_BSE.shape[1], x_BTE.device)
        start_A1, stop_A1 = spans_A2.split(1, dim=1)
        root_B1 = (stop_A1 - start_A1).to(x_BTE.dtype).sqrt().repeat_interleave(source.beams, dim=0)
        given = ConvolutionDecoderPass(x_BTE, source, text_BT1, root_B1[..., None])
        x_BTH = self.enter(x_BTE)
        for number, layer in enumerate(self.layers):
            x_BTH = tap.shown(Site(number, "residual"), layer(x_BTH, given, state))
        return self.leave(x_BTH)

    def carries(self, batch: int) -> list[Carry]:
        """Zeros for the inputs before the first place."""
        past = (batch, self.config.kernel - 1, self.config.hidden)
        return [(torch.zeros(past, dtype=self.dtype, device=self.device),) for _ in self.layers]

    def initialise(self, generator: torch.Generator) -> None:
        """Embeddings have std 0.1, matrices with n inputs sqrt(1 / n), before a gate sqrt(4 p / n), biases are 0 (3.5).

        p is the share that dropout keeps.
        """
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
                continue
            if name == "embedding.weight" or "positions" in name:
                std = 0.1
            else:
                gain = 4 * (1 - self.config.dropout) if "convolution" in name else 1.0
                std = math.sqrt(gain / parameter.shape[1])
            nn.init.normal_(parameter, 0.0, std, generator=generator)


register(ConvolutionTranslatorConfig, ConvolutionTranslator)
