"""What a prediction depends on, token by token, by gradients: for any model, with attention or without."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis.asked import finite, likeliest, target_of, token_of
from clearhead.analysis.integrated_gradient import TOLERANCE, Line, integrated, rows_at_once
from clearhead.analysis.slopes import Prediction
from clearhead.errors import NotFiniteError, OptionError, nearest
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.notebook import Displayed
from clearhead.watching import TokenizedText

METHODS = ("gradient", "integrated-gradient")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Where the path of an integrated gradient starts.

    name: mean, zero, or the label of a token; logprob: of the target there, in nats
    passes: gradients taken along the path; error: of the products' sum against the change of ``logprob``, in nats
    """

    name: str
    logprob: float
    passes: int
    error: float


@dataclass(frozen=True, kw_only=True)
class Attribution(Displayed):
    """How the log-probability of one token depends on the embedding of each token of the text.

    tokenized: labels and ids of the T places
    place: the place of the prediction
    target, token: id and label of the predicted token
    given: True if it is the text's own next token
    logprob: its log-probability by the model (``model.log_probabilities``), in nats
    norms: |d logprob / d embedding| of each place, >= 0; with a baseline, of the gradient's mean along the path
    products: gradient . embedding of each place, in nats: the first-order change of ``logprob`` per unit of relative
        scaling of the embedding (Denil et al. 2014, "Extraction of salient sentences from labelled documents"). With a
        baseline, (embedding - baseline) . mean gradient: they sum to the change of ``logprob`` (Sundararajan et al.
        2017, eq. 1)
    baseline: None for a plain gradient
    """

    tokenized: TokenizedText
    place: int
    target: int
    token: str
    given: bool
    logprob: float
    norms: tuple[float, ...]
    products: tuple[float, ...]
    model: str | None = None
    baseline: Baseline | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        """The norms, or with a baseline the sizes of the products, divided by their sum; all 0 if that is 0."""
        sizes = self.norms if self.baseline is None else tuple(map(abs, self.products))
        total = sum(sizes)
        return tuple(size / total if total else 0.0 for size in sizes)


def attribution(
    model: LanguageModel,
    text: str,
    *,
    query: int | None = None,
    target: int | str | None = None,
    by: str = "gradient",
    baseline: str = "mean",
    tolerance: float = TOLERANCE,
) -> Attribution:
    """Computes how the prediction at place ``query`` depends on the embedding of every token.

    query: a place (negative: from the end); None for the last
    target: the predicted token, an id or a text of one token; None for the text's next token, or for the likeliest one
        after the end of the text or in a model that fills masks
    by: ``gradient``, from one forward and one backward pass, or ``integrated-gradient``, the mean gradient along the
        straight path from a baseline to the text's embeddings (Sundararajan et al. 2017)
    baseline: for every token but the tokenizer's own around the text: ``mean`` of all tokens, ``zero``, or a token
    tolerance: how far, in nats, the sum of an integrated gradient may be from the change of the log-probability. The
        path is cut finer until it is no farther

    Reads the text with the tokenizer's special tokens around it. Raises TextError as ``observe`` does, OptionError if
    the text has no such place, the model has no such token or predicts no tokens, MemoryNeededError if the pass does
    not fit in the free memory, ClearheadError if a number is not finite or the tolerance is not reached.
    """
    check_model(model, "attribution")
    if by not in METHODS:
        raise OptionError(f"attribution: there is no method {by!r}{nearest(by, METHODS)}")
    asked = target_of(model, text, query=query, target=target, verb="look", what=f"look --by {by}")
    ids, chosen = asked.ids, asked.token
    _check_memory(model, len(ids) * (1 if by == "gradient" else rows_at_once(len(ids))))
    prediction = Prediction(model.network, ids, asked.place)
    if chosen is None:
        chosen = likeliest(model, finite(prediction.logits(), len(ids)))
    x_TE, start = prediction.embeddings(), None
    if by == "gradient":
        logprobs_N, g_NTE = prediction.slopes(x_TE[None], chosen)
        logprob, g_TE, moved_TE = float(logprobs_N[0]), g_NTE[0], x_TE
    else:
        base_TE, name = _start(model, ids, x_TE, baseline)
        found = integrated(prediction, chosen, Line(base_TE, x_TE), tolerance)
        logprob, g_TE, moved_TE = found.logprob, found.mean_TE, x_TE - base_TE
        start = Baseline(name=name, logprob=found.before, passes=found.passes, error=found.error)
    if not (math.isfinite(logprob) and bool(g_TE.isfinite().all())):
        raise NotFiniteError(len(ids))
    return Attribution(
        tokenized=asked.tokenized,
        place=asked.place,
        target=chosen,
        token=model.labels([chosen])[0],
        given=asked.given,
        logprob=logprob,
        norms=tuple(torch.linalg.vector_norm(g_TE, dim=-1).tolist()),
        products=tuple((g_TE * moved_TE).sum(dim=-1).tolist()),
        model=model.name or None,
        baseline=start,
    )


def _start(model: LanguageModel, ids: list[int], x_TE: Tensor, baseline: str) -> tuple[Tensor, str]:
    """The baseline's embeddings, and its name. Special tokens, which complete no characters, keep their own."""
    weight_VE = model.network.embedding.matrix.detach()
    if baseline == "zero":
        base_E, name = torch.zeros_like(x_TE[0]), "zero"
    elif baseline == "mean":
        tokens_V = torch.ones(len(weight_VE), dtype=torch.bool, device=weight_VE.device)
        tokens_V[model.tokenless] = False
        base_E, name = weight_VE[tokens_V].to(x_TE.dtype).mean(dim=0), "mean"
    else:
        token = token_of(model, baseline, "baseline")
        base_E, name = weight_VE[token].to(x_TE.dtype), model.labels([token])[0]
    tokenizer, places = model.tokenizer, len(ids)
    front = len(tokenizer.front) if tuple(ids[: len(tokenizer.front)]) == tokenizer.front else 0
    back = len(tokenizer.back) if tuple(ids[places - len(tokenizer.back) :]) == tokenizer.back else 0
    base_TE = x_TE.clone()
    base_TE[front : places - back] = base_E
    return base_TE, name


def _check_memory(model: LanguageModel, places: int) -> None:
    need = places * model.config.training_numbers() * model.dtype.itemsize
    check_free(
        need,
        model.device,
        f"a gradient over {places:,} tokens needs about {need / 1e9:,.1f} GB",
        "give a shorter text",
    )
