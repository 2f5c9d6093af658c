"""A decoder: predicts the next token from those before it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from clearhead.attend import Mask, causal, window
from clearhead.model.config import DecoderConfig
from clearhead.model.parts.cross_entropy import linear_cross_entropy
from clearhead.model.registry import register
from clearhead.model.transformer import Transformer


class Decoder(Transformer):
    """Causal attention; logits of the next token."""

    stack: ClassVar[str] = "decoder"
    config: DecoderConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def own_mask(self, size: int | None) -> Mask:
        """Causal, within the window if there is one."""
        return causal() if size is None else causal() & window(size)

    @property
    def softcap(self) -> float | None:
        """The config's."""
        return self.config.logit_softcap

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV: each place's product with the output layer, soft-capped if the config says so."""
        logits_BTV, cap = super().unembed(x_BTE), self.softcap
        return logits_BTV if cap is None else cap * torch.tanh(logits_BTV / cap)

    def loss(self, x_BTE: Tensor, targets_BT: Tensor) -> Tensor:
        """Cross-entropy summed over the targets that are not negative, in nats, float32 or wider."""
        x_NE, targets_N = x_BTE.flatten(0, 1), targets_BT.flatten()
        return linear_cross_entropy(x_NE, self.output.weight, targets_N, self.softcap)


register(DecoderConfig, Decoder)
