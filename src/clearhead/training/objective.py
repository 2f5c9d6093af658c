"""The training loss, and the evaluation of a model on a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, documents
from clearhead.model import Network, evaluating
from clearhead.text import NOT_COUNTED, Batch


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a model predicts a text. Nats use the natural logarithm; bytes are the text's in UTF-8."""

    nats: float  # summed over all tokens
    tokens: int
    text_bytes: int
    window: int  # tokens read at once

    @property
    def loss(self) -> float:
        """Mean nats per token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text, comparable across tokenizers."""
        return self.nats / math.log(2) / self.text_bytes

    @property
    def perplexity(self) -> float:
        """exp(loss), per token; infinite if float64 cannot hold it."""
        return math.inf if self.loss > 709 else math.exp(self.loss)


def next_token_loss(
    model: Network, batch: Batch, *, run: Callable[..., Tensor] | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of each counted target given the earlier tokens of its document, in nats, float32 or wider.

    ``run`` is called instead of the model, for example its compiled version. ``reduction`` is "mean" (over the counted
    targets) or "sum".
    """
    device = model.device
    ids_BT = torch.from_numpy(batch.ids_BT).to(device)
    targets_BT = torch.from_numpy(batch.targets_BT).to(device)
    mask: Mask = FULL
    if batch.documents_BT is not None:
        mask = documents(torch.from_numpy(batch.documents_BT).to(device))
    nats = (model if run is None else run)(ids_BT, targets_BT=targets_BT, mask=mask)
    return nats if reduction == "sum" else nats / (targets_BT >= 0).sum().clamp(min=1)


@torch.no_grad()
def evaluate_batches(model: Network, batches: Iterable[Batch], *, text_bytes: int, window: int) -> Evaluation:
    """Evaluates the model, without dropout, on batches of windows that cover ``text_bytes`` bytes of text."""
    nats, tokens = 0.0, 0
    with evaluating(model):
        for batch in batches:
            nats += float(next_token_loss(model, batch, reduction="sum"))
            tokens += int((batch.targets_BT != NOT_COUNTED).sum())
    return Evaluation(nats=nats, tokens=tokens, text_bytes=text_bytes, window=window)
