"""What a model is trained to predict, its loss, and the evaluation of a model on a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, documents, padding
from clearhead.errors import TextError, many
from clearhead.model import Network, evaluating
from clearhead.text import NOT_COUNTED, Batch, Tokens, Windows, sequential
from clearhead.text.data.windows import Int64


class Batches(Protocol):
    """The batches of a run."""

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0; depends on nothing else."""
        ...


class Objective(Protocol):
    """What a model is trained to predict: makes inputs and targets from its data, ``Tokens`` or ``Pairs``."""

    @property
    def ability(self) -> str:
        """What the model must be able to do, a name in ``clearhead.model.ABILITIES``."""
        ...

    @property
    def one_shape(self) -> bool:
        """Whether all batches of a run have the same shape, so that compiling pays."""
        ...

    @property
    def unit(self) -> str:
        """What is predicted, for figures: a loss is in nats per unit."""
        ...

    def windows(self, data: Any, *, context: int, batch: int, seed: int) -> Batches:
        """The data of each step, ``batch`` windows of ``context`` tokens. Raises TextError if there is too little."""
        ...

    def batch(self, windows: Batch, step: int) -> Batch:
        """Inputs and targets of a step. Depends on the windows and the step alone, so resuming needs no state."""
        ...

    def trial(self, ids_BT: Int64) -> Batch:
        """Inputs and targets of a step over random ids, for timing."""
        ...

    def check(self, data: Any) -> None:
        """Raises TextError if there is nothing to evaluate on."""
        ...

    def in_order(self, data: Any, *, context: int, batch: int, stride: int | None) -> Iterator[Batch]:
        """The batches of an evaluation, with ``text_bytes``: the same each time, however many windows are in one.

        Raises OptionError for a stride that the objective has no use for.
        """
        ...


class NextTokens:
    """Each token is predicted from the earlier ones of its document."""

    ability, unit, one_shape = "next tokens", "token", True

    def windows(self, data: Tokens, *, context: int, batch: int, seed: int) -> Windows:
        """Windows of the text in random order."""
        return Windows(data, context=context, batch=batch, seed=seed)

    def trial(self, ids_BT: Int64) -> Batch:
        """The ids as inputs and targets."""
        return Batch(ids_BT=ids_BT, targets_BT=ids_BT, documents_BT=None)

    def check(self, data: Tokens) -> None:
        """Raises TextError for fewer than two tokens of text."""
        check_length(data)

    def batch(self, windows: Batch, step: int) -> Batch:
        """The windows as they are."""
        return windows

    def in_order(self, data: Tokens, *, context: int, batch: int, stride: int | None) -> Iterator[Batch]:
        """``sequential``: each token after the first is a target once."""
        return sequential(data, context=context, batch=batch, stride=stride)


NEXT_TOKENS = NextTokens()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a model predicts a text. Nats use the natural logarithm; bytes are the text's in UTF-8."""

    nats: float  # summed over all predicted tokens
    tokens: int  # predicted
    text_bytes: int  # of the predicted tokens
    window: int  # tokens read at once
    unit: str = NextTokens.unit  # the objective's

    @property
    def loss(self) -> float:
        """Mean nats per predicted token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of predicted text, comparable across tokenizers with the same objective."""
        return self.nats / math.log(2) / self.text_bytes

    @property
    def perplexity(self) -> float:
        """exp(loss), per token; infinite if float64 cannot hold it."""
        return math.inf if self.loss > 709 else math.exp(self.loss)


def check_length(tokens: Tokens) -> None:
    """Raises TextError if the tokens have no target that is text."""
    if len(tokens) < 2 or not tokens.text_bytes(1):
        raise TextError(
            f"the text to evaluate on has {many(len(tokens), 'token')}; the first is not predicted, and separators do "
            "not count as text; give more, or name another with --valid"
        )


def batch_loss(
    model: Network,
    batch: Batch,
    *,
    run: Callable[..., Tensor] | None = None,
    reduction: str = "mean",
    smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of each counted target given the tokens of its document that it may see, in nats, at least float32.

    ``run`` is called instead of the model, for example its compiled version. ``reduction`` is "mean" (over the counted
    targets) or "sum". ``smoothing``: see ``Network.forward``.
    """
    ids_BT, targets_BT, given = inputs(batch, model.device)
    if smoothing:
        given["smoothing"] = smoothing
    nats = (model if run is None else run)(ids_BT, targets_BT=targets_BT, **given)
    return nats if reduction == "sum" else nats / (targets_BT >= 0).sum().clamp(min=1)


def inputs(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """ids_BT, targets_BT, and the other inputs of a pass, by name."""
    ids_BT = torch.from_numpy(batch.ids_BT).to(device)
    targets_BT = torch.from_numpy(batch.targets_BT).to(device)
    mask: Mask = FULL
    if batch.documents_BT is not None:
        mask = documents(torch.from_numpy(batch.documents_BT).to(device))
    return ids_BT, targets_BT, {"mask": mask, **({} if batch.source_BS is None else _source(batch, device))}


def _source(batch: Batch, device: torch.device) -> dict[str, Any]:
    """The source of an encoder-decoder's pass."""
    lengths_B = batch.source_lengths_B
    mask = FULL if lengths_B is None else padding(torch.from_numpy(lengths_B).to(device))
    return {"source_BS": torch.from_numpy(batch.source_BS).to(device), "source_mask": mask}


@torch.no_grad()
def evaluate_batches(
    model: Network, batches: Iterable[Batch], unit: str = NextTokens.unit, *, window: int
) -> Evaluation:
    """Evaluates the model, without dropout, on batches that count their ``text_bytes``."""
    nats, tokens, text_bytes = 0.0, 0, 0
    with evaluating(model):
        for batch in batches:
            nats += float(batch_loss(model, batch, reduction="sum"))
            tokens += int((batch.targets_BT != NOT_COUNTED).sum())
            text_bytes += batch.text_bytes
    return Evaluation(nats=nats, tokens=tokens, text_bytes=text_bytes, window=window, unit=unit)
