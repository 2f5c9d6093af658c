"""Evaluations of a model on a whole text or on pairs, and how far two models are apart on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from clearhead.errors import OptionError
from clearhead.model import Network, evaluating, log_probabilities, needs
from clearhead.text import NOT_COUNTED, Batch
from clearhead.training.objective import NEXT_TOKENS, Evaluation, Objective, evaluate_batches, inputs

# Tokens evaluated at a time, and the longest window: the activations of a batch take the memory.
EVALUATED_AT_ONCE = 4096
ROWS = 256  # places whose predictions are compared at a time


def evaluate(
    model: Network,
    data: Any,
    *,
    window: int | None = None,
    stride: int | None = None,
    objective: Objective = NEXT_TOKENS,
) -> Evaluation:
    """Evaluates the model on what the objective reads, a text or pairs.

    A text is read in windows of the context (at most EVALUATED_AT_ONCE) unless ``window`` is given. Raises TextError if
    there is too little of it, OptionError if the window or stride is out of range.
    """
    context = _context(model, window)
    batches = _batches(model, data, context, stride, objective)
    return evaluate_batches(model, batches, objective.unit, window=context)


@torch.no_grad()
def divergence(
    model: Network,
    other: Network,
    data: Any,
    *,
    window: int | None = None,
    stride: int | None = None,
    objective: Objective = NEXT_TOKENS,
) -> float:
    """KL(p || q) of the model's predictions p from the other's, q: nats, the mean over all predicted tokens.

    Both have the same vocabulary. Text, windows and errors are those of ``evaluate``.
    """
    nats, tokens = 0.0, 0
    with evaluating(model), evaluating(other):
        for batch in _batches(model, data, _context(model, window), stride, objective):
            ids_BT, targets_BT, given = inputs(batch, model.device)
            counted_BT = targets_BT != NOT_COUNTED
            x_NE, y_NE = (each.hidden(ids_BT, **given)[counted_BT] for each in (model, other))
            for x, y in zip(x_NE.split(ROWS), y_NE.split(ROWS), strict=True):
                p_NV, q_NV = (log_probabilities(logits.double()) for logits in (model.unembed(x), other.unembed(y)))
                nats += float((p_NV.exp() * (p_NV - q_NV)).sum())
            tokens += len(x_NE)
    return nats / tokens


def _context(model: Network, window: int | None) -> int:
    context = min(model.config.context, EVALUATED_AT_ONCE) if window is None else window
    if not 1 <= context <= model.config.context:
        raise OptionError(f"window {context}: must be 1 or more, and at most the model's {model.config.context} tokens")
    return context


def _batches(model: Network, data: Any, context: int, stride: int | None, objective: Objective) -> Iterator[Batch]:
    needs(model, objective.ability, "evaluating")
    objective.check(data)
    at_once = max(1, EVALUATED_AT_ONCE // context)
    return objective.in_order(data, context=context, batch=at_once, stride=stride)
