"""Convolutional models: layers of gated causal convolutions (Dauphin et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from clearhead.attend import Mask
from clearhead.errors import ConfigError, many
from clearhead.model.carried import Carried
from clearhead.model.config import DecoderConfig
from clearhead.model.layered import Layer, Layered, LayeredConfig
from clearhead.model.parts.config import check_sizes
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import norm
from clearhead.model.parts.places import taps
from clearhead.model.registry import register

REACH_AT_MOST = 2**24  # tokens; larger numbers are typos, and the state would take gigabytes


@dataclass(frozen=True, kw_only=True)
class ConvolutionConfig(LayeredConfig):
    """Layers of x + out(GLU(convolution(norm x))). Dilations: Kalchbrenner et al. 2016."""

    kind: ClassVar[str] = "convolution"
    architecture: ClassVar[str] = "convolution"

    kernel: int = 4  # number of places a convolution reads, including its own
    dilations: tuple[int, ...] = (1,)  # distance between those places, by layer; the list repeats

    def check(self) -> None:
        """Raises ConfigError for sizes out of range."""
        super().check()
        check_sizes("model", self, "kernel")
        if not self.dilations or min(self.dilations) < 1:
            raise ConfigError(f"model: dilations are {self.dilations}; give at least one, each at least 1")
        if self.reach > REACH_AT_MOST:
            raise ConfigError(
                f"model: kernel {self.kernel} and dilations {self.dilations} reach {self.reach:,} tokens; the most "
                f"that is accepted is {REACH_AT_MOST:,}"
            )

    @classmethod
    def layers_of(cls, decoder: DecoderConfig) -> dict[str, Any]:
        """Twice as many layers."""
        return {"layers": 2 * decoder.layers}

    def dilation(self, layer: int) -> int:
        """Distance between the places a layer reads."""
        return self.dilations[layer % len(self.dilations)]

    def past(self, layer: int) -> int:
        """How many places back a layer reads."""
        return (self.kernel - 1) * self.dilation(layer)

    @property
    def reach(self) -> int:
        """The number of tokens a prediction depends on: 1 + the sum of (kernel - 1) dilation over all layers."""
        return 1 + sum(self.past(layer) for layer in range(self.layers))

    def dilated(self, length: int) -> Self:
        """The same, dilated by 1, b, b^2, ... with the smallest b that makes it reach ``length`` tokens.

        Raises ConfigError for one layer, or a kernel of 1, which no such dilation helps.
        """
        if self.reach < length and 1 in (self.kernel, self.layers):
            raise ConfigError(
                f"model: {many(self.layers, 'layer')} with a kernel of {self.kernel} cannot be dilated to reach "
                f"{length:,} tokens; that takes two layers or more, and a kernel of at least 2"
            )
        base, config = 1, self
        while config.reach < length:
            base += 1
            config = replace(config, dilations=tuple(base**layer for layer in range(config.layers)))
        return config

    def layer_parameters(self) -> int:
        """The convolution to values and gates, with biases, and the projection back into the residual stream."""
        return 2 * self.hidden * (self.kernel * self.width + 1) + self.hidden * self.width

    def state_numbers(self, places: int) -> int:
        """The inputs each layer will read again, however many places there are."""
        return self.width * (self.reach - 1)

    def pass_numbers(self) -> int:
        """A layer's input and output, what its kernel reads, values and gates."""
        return (4 + 2 * self.kernel) * self.width + 4 * self.hidden

    def training_numbers(self) -> int:
        """Per layer: 3 widths, what its kernel reads, values, gates, their product and its gradient."""
        return self.layers * ((3 + self.kernel) * self.width + 4 * self.hidden)

    def described(self) -> dict[str, str]:
        """What the model is made of, in words, by part."""
        whole = super().described()
        spread = "" if set(self.dilations) == {1} else f", dilated by {', '.join(map(str, self.dilations))}"
        parts = {
            "convolution": f"GLU of {self.hidden} channels, {self.kernel} places each{spread}",
            "norm": f"{self.norm.kind}, before each part",
            "reach": f"a prediction depends on the last {many(self.reach, 'token')}",
        }
        return {"layers": whole.pop("layers"), **parts, **whole}


class ConvolutionLayer(Layer):
    """x + out(GLU(convolution(norm x))), GLU(a, b) = a sigmoid(b) (Dauphin et al. 2017, eq. 1).

    One product with the kernel's inputs side by side. On one core, it trains as fast as PyTorch's convolution; for a
    single token with dilation it takes a fifteenth of the time.
    """

    def __init__(self, config: ConvolutionConfig, number: int) -> None:
        super().__init__(config, number)
        self.dilation, self.past = config.dilation(number), config.past(number)
        self.norm = norm(config.norm, config.width)
        # nn.Conv1d's weight (2 hidden, width, kernel) with its last two axes swapped and joined
        self.convolution = Linear(
            config.kernel * config.width, 2 * config.hidden, bias=True, rows=(config.hidden, config.hidden)
        )
        self.out = Linear(config.hidden, config.width)

    def forward(self, x_BTE: Tensor, seen: dict[int, Tensor], state: Carried | None) -> Tensor:
        """x_BTE -> x_BTE. ``seen``: seen_BTJ by dilation, from ``prepared``."""
        B, T, E = x_BTE.shape
        seen_BTJ = seen.get(self.dilation)
        y_BTE = self.norm(x_BTE)
        if seen_BTJ is not None:  # keeps padding out of the state, where later passes could not tell it from text
            y_BTE = y_BTE.masked_fill(~seen_BTJ[:, :, -1:], 0.0)
        past_BPE = y_BTE.new_zeros(B, self.past, E) if state is None else state.layers[self.number][0]
        y_BSE = torch.cat((past_BPE.to(y_BTE.dtype), y_BTE), dim=1)
        if state is not None:
            state.layers[self.number] = (y_BSE[:, T:],)
        if T == 1:
            read_BTJE = y_BSE[:, :: self.dilation].unsqueeze(1)
        else:
            starts = range(0, self.past + 1, self.dilation)
            read_BTJE = torch.stack([y_BSE[:, start : start + T] for start in starts], dim=2)
        if seen_BTJ is not None:
            read_BTJE = read_BTJE.masked_fill(~seen_BTJ.unsqueeze(-1), 0.0)
        return x_BTE + self.dropped(self.out(F.glu(self.convolution(read_BTJE.flatten(2)), dim=-1)))


class Convolution(Layered):
    """Layers of gated causal convolutions."""

    config: ConvolutionConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def layer(self, number: int) -> Layer:
        """One convolution."""
        return ConvolutionLayer(self.config, number)

    def prepared(self, mask: Mask, batch: int, start: int, places: int) -> dict[int, Tensor]:
        """seen_BTJ by dilation: which places of a kernel belong to the same document; empty if all do."""
        if not mask.parts:
            return {}
        c = self.config
        return {
            d: taps(mask, batch, start, places, range((c.kernel - 1) * d, -1, -d), self.device)
            for d in {c.dilation(layer) for layer in range(c.layers)}
        }

    def empty_state(self, batch: int, capacity: int) -> Carried:
        """Zeros for the inputs before the first place."""
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        layers = [cast(ConvolutionLayer, layer) for layer in self.layers]
        pasts = [like.new_zeros(batch, layer.past, self.config.width) for layer in layers]
        return Carried([(past_BPE,) for past_BPE in pasts], batch=batch, capacity=capacity)


register(ConvolutionConfig, Convolution)
