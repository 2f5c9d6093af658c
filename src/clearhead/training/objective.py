"""What is minimised, and how well a model does on a text."""

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
class Score:
    """How well a text was predicted. Nats are natural-log units; bits per byte divide by the text's UTF-8 bytes."""

    nats: float  # summed over all tokens
    tokens: int
    text_bytes: int

    @property
    def loss(self) -> float:
        """Mean nats per token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers."""
        return self.nats / math.log(2) / self.text_bytes

    @property
    def perplexity(self) -> float:
        """exp(loss), per token; infinite where float64 cannot hold it."""
        return math.inf if self.loss > 709 else math.exp(self.loss)


def next_token_loss(
    model: Network, batch: Batch, *, run: Callable[..., Tensor] | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of each counted target given the tokens before it in its document, in nats, float32 or wider.

    ``run`` takes the place of the model's own call: what torch.compile or another wrapper made of it. ``reduction`` is
    "mean" over the counted targets or "sum".
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
def evaluate(model: Network, batches: Iterable[Batch], text_bytes: int) -> Score:
    """The model's score over the batches, which stand for ``text_bytes`` bytes of text; dropout is off meanwhile."""
    nats, tokens = 0.0, 0
    with evaluating(model):
        for batch in batches:
            nats += float(next_token_loss(model, batch, reduction="sum"))
            tokens += int((batch.targets_BT != NOT_COUNTED).sum())
    return Score(nats=nats, tokens=tokens, text_bytes=text_bytes)
