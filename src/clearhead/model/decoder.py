"""A decoder: predicts the next token from those before it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from clearhead.attend import Mask, causal, window
from clearhead.model.config import DecoderConfig
from clearhead.model.registry import register
from clearhead.model.transformer import Transformer
from clearhead.native import token
from clearhead.products import product


class Decoder(Transformer):
    """Causal attention; logits of the next token."""

    stack: ClassVar[str] = "decoder"
    ahead: ClassVar[bool] = False
    config: DecoderConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)

    def own_mask(self, size: int | None) -> Mask:
        """Causal, within the window if there is one."""
        return causal() if size is None else causal() & window(size)

    @property
    def softcap(self) -> float | None:
        """The config's ``logit_softcap``."""
        return self.config.logit_softcap

    def unembed(self, x_BTE: Tensor) -> Tensor:
        """logits_BTV: each place's product with the output layer, with its bias, soft-capped if the config says so."""
        bias_V, cap = self.output_bias, self.softcap
        logits_BTV = super().unembed(x_BTE) if bias_V is None else product(x_BTE, self.output.weight, bias_V)
        if cap is None:
            return logits_BTV
        if token.takes(logits_BTV, most=token.ROWS):
            return token.cap(logits_BTV, cap)
        return cap * torch.tanh(logits_BTV / cap)


register(DecoderConfig, Decoder)
