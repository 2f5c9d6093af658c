"""How well a model predicts a text: ``clearhead.evaluate``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearhead import training
from clearhead.errors import ClearheadError, OptionError
from clearhead.files import Paths, paths_in
from clearhead.language_model import LanguageModel, check_model
from clearhead.runs.material import check_field
from clearhead.text import Tokens, sources, tokenize
from clearhead.training import Evaluation


def evaluate(
    model: LanguageModel,
    text: Paths,
    *,
    field: str | None = None,
    encoding: str = "utf-8",
    window: int | None = None,
    stride: int | None = None,
    mask_rate: float | None = None,
) -> Evaluation:
    """Evaluates a model on text, as ``clearhead eval`` does: each token, or each masked token, is predicted once.

    text: one or more files, folders or patterns
    field: the field of ``.jsonl`` lines that holds the text; "text" by default
    window: tokens read at once; by default the context length, at most 4,096
    stride: tokens from the start of one window to the start of the next; ``window`` by default
    mask_rate: for models that predict masked tokens: the fraction of tokens to mask, always the same ones; by default
        ``training.MaskConfig.rate``

    Raises OptionError if the model predicts neither next nor masked tokens, or a value is out of range, TextError for
    text that cannot be read or encoded or is too short, ClearheadError if the loss is not finite.
    """
    check_model(model, "evaluate")
    if "text to text" in model.abilities:
        raise OptionError(
            "eval: this model translates, so it is measured on sentence pairs; give them with --pairs FILE (from "
            "Python clearhead.evaluate_pairs)"
        )
    tokens, objective = _read(model, text, field, encoding, mask_rate)
    evaluation = training.evaluate(model.network, tokens, window=window, stride=stride, objective=objective)
    check_finite(evaluation)
    return evaluation


def check_finite(evaluation: Evaluation) -> None:
    """Raises ClearheadError if the computation overflowed."""
    if not math.isfinite(evaluation.loss):
        raise ClearheadError(
            f"the loss is {evaluation.loss}: the computation overflowed the model's dtype; use a wider one "
            "(--dtype float32)"
        )


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What rounding a model's weights to few bits changes, in nats per predicted token.

    lost: by how much the loss is higher; can be below 0 on a short text
    divergence: KL of the rounded model's predictions from the unrounded one's
    """

    lost: float
    divergence: float


def rounding(
    model: LanguageModel,
    rounded: LanguageModel,
    evaluation: Evaluation,
    text: Paths,
    *,
    field: str | None = None,
    encoding: str = "utf-8",
    window: int | None = None,
    stride: int | None = None,
    mask_rate: float | None = None,
) -> Rounding:
    """Compares a model with itself rounded (``load(bits=...)``), given the rounded one's evaluation of this text.

    Options and errors are those of ``evaluate``.
    """
    whole = evaluate(model, text, field=field, encoding=encoding, window=window, stride=stride, mask_rate=mask_rate)
    tokens, objective = _read(model, text, field, encoding, mask_rate)
    apart = training.divergence(
        model.network, rounded.network, tokens, window=window, stride=stride, objective=objective
    )
    return Rounding(lost=evaluation.loss - whole.loss, divergence=apart)


def _read(
    model: LanguageModel, text: Paths, field: str | None, encoding: str, mask_rate: float | None
) -> tuple[Tokens, training.Objective]:
    """The tokens of a text, and the objective to evaluate the model on."""
    if mask_rate is not None and not 0 < mask_rate < 1:
        raise OptionError.of("mask_rate", mask_rate, "above 0 and below 1; 0.15 to 0.3 is usual")
    masks = None if mask_rate is None else training.MaskConfig(rate=mask_rate)
    objective = training.objective_of(training.default_masks(model.network, masks, "eval"), model.tokenizer)
    texts = sources(paths_in(text, "evaluate"), field=field, encoding=encoding)
    check_field(field, texts)
    tokens = tokenize(texts, model.tokenizer)
    model.tokenizer.note_unknown(tokens.ids)
    return tokens, objective
