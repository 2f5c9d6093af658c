"""What a prediction depends on, token by token, by gradients: for any model, with attention or without."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis.asked import asked_of, finite, likeliest, token_of
from clearhead.analysis.given import Given, Read
from clearhead.analysis.integrated_gradient import TOLERANCE, Line, integrated, rows_at_once
from clearhead.analysis.slopes import Prediction
from clearhead.attend import wide
from clearhead.errors import NotFiniteError, OptionError, nearest
from clearhead.generation import forced
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.notebook import Displayed
from clearhead.watching import TokenizedText

METHODS = ("gradient", "integrated-gradient")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Where the path of an integrated gradient starts.

    name: mean, zero, or the label of a token; logprob: of the target there, in nats
    passes: gradients taken along the path; error: the products' sum minus the change of ``logprob``, in nats
    """

    name: str
    logprob: float
    passes: int
    error: float


@dataclass(frozen=True, kw_only=True)
class Attribution(Displayed):
    """How the log-probability of one token depends on the embedding of each token that was read.

    tokenized: labels and ids of the T places
    place: the place of the prediction
    token_id, token: id and label of the predicted token
    given: True if it is the text's own next token
    logprob: its log-probability by the model (``model.log_probabilities``), in nats
    norms: |d logprob / d embedding| of each place, >= 0; with a baseline, of the gradient's mean along the path
    products: gradient . embedding of each place, in nats: the first-order change of ``logprob`` per unit of relative
        scaling of the embedding (Denil et al. 2014, "Extraction of salient sentences from labelled documents"). With a
        baseline, (embedding - baseline) . mean gradient: they sum to the change of ``logprob`` (Sundararajan et al.
        2017, eq. 1)
    baseline: None for a plain gradient
    source: the text that a translator read; ``tokenized`` is then its translation. source_norms, source_products: of
        each of its S places; shares are taken over both texts together. None and empty for other models
    """

    tokenized: TokenizedText
    place: int
    token_id: int
    token: str
    given: bool
    logprob: float
    norms: tuple[float, ...]
    products: tuple[float, ...]
    model: str | None = None
    baseline: Baseline | None = None
    source: TokenizedText | None = None
    source_norms: tuple[float, ...] = ()
    source_products: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The norms, or with a baseline the sizes of the products, divided by their sum; all 0 if that is 0."""
        return self._shares[len(self.source_norms) :]

    @property
    def source_shares(self) -> tuple[float, ...]:
        """The shares of the source's tokens; with those of the translation's they sum to 1."""
        return self._shares[: len(self.source_norms)]

    @property
    def _shares(self) -> tuple[float, ...]:
        norms, products = (*self.source_norms, *self.norms), (*self.source_products, *self.products)
        sizes = norms if self.baseline is None else tuple(map(abs, products))
        total = sum(sizes)
        return tuple(size / total if total else 0.0 for size in sizes)


def attribution(
    model: LanguageModel,
    text: Given,
    *,
    target: str | None = None,
    query: int | None = None,
    token: int | str | None = None,
    by: str = "gradient",
    baseline: str = "mean",
    tolerance: float = TOLERANCE,
) -> Attribution:
    """Computes how the prediction at place ``query`` depends on the embedding of every token.

    text: a text or a row of ids, special tokens included
    target: what a translator writes, as ``observe`` has it; a place of it depends on its tokens and the text's
    query: a place (negative: from the end); None for the last
    token: the predicted token, an id or a text of one token; None for the text's next token, or for the likeliest one
        after the end of the text or in a model that fills masks
    by: ``gradient``, from one forward and one backward pass, or ``integrated-gradient``, the mean gradient along the
        straight path from a baseline to the text's embeddings (Sundararajan et al. 2017)
    baseline: for every token except the special ones around the text: ``mean`` of all tokens, ``zero``, or a token
    tolerance: how far, in nats, the sum of an integrated gradient may be from the change of the log-probability. The
        path is cut finer until the sum is this close

    Reads the text with the tokenizer's special tokens around it. Raises TextError as ``observe`` does, OptionError if
    the text has no such place, the model has no such token or predicts no tokens, MemoryNeededError if the pass does
    not fit in the free memory, ClearheadError if a number is not finite or the tolerance is not reached.
    """
    check_model(model, "attribution")
    if by not in METHODS:
        raise OptionError(f"attribution: there is no method {by!r}{nearest(by, METHODS)}")
    what = f"look --by {by}"
    asked = asked_of(model, text, target=target, query=query, token=token, verb="look", what=what)
    read, chosen, count = asked.read, asked.token, asked.read.tokens
    _check_memory(model, count * (1 if by == "gradient" else rows_at_once(count)))
    prediction = Prediction(model, read, asked.place)
    if chosen is None:
        chosen = likeliest(model, finite(prediction.logits(), count))
    x_PE, start = prediction.embeddings(), None
    if by == "gradient":
        logprobs_N, g_NPE = prediction.slopes(x_PE[None], chosen)
        logprob, g_PE, moved_PE = float(logprobs_N[0]), g_NPE[0], x_PE
    else:
        base_PE, name = _start(model, read, x_PE, baseline)
        found = integrated(prediction, chosen, Line(base_PE, x_PE), tolerance)
        logprob, g_PE, moved_PE = found.logprob, found.mean_TE, x_PE - base_PE
        start = Baseline(name=name, logprob=found.before, passes=found.passes, error=found.error)
    if not (math.isfinite(logprob) and bool(g_PE.isfinite().all())):
        raise NotFiniteError(count)
    norms, products = torch.linalg.vector_norm(g_PE, dim=-1).tolist(), (g_PE * moved_PE).sum(dim=-1).tolist()
    read_first = count - len(read.ids)
    return Attribution(
        tokenized=read.tokenized,
        place=asked.place,
        token_id=chosen,
        token=model.labels([chosen])[0],
        given=asked.given,
        logprob=logprob,
        norms=tuple(norms[read_first:]),
        products=tuple(products[read_first:]),
        model=model.name or None,
        baseline=start,
        source=read.source,
        source_norms=tuple(norms[:read_first]),
        source_products=tuple(products[:read_first]),
    )


def _start(model: LanguageModel, read: Read, x_PE: Tensor, baseline: str) -> tuple[Tensor, str]:
    """The baseline's embeddings, and its name. Special tokens around a text keep their own."""
    base_PE, first, names = x_PE.clone(), 0, list[str]()
    for text, source in ((read.source, True), (read.tokenized, False)):
        if text is None:
            continue
        front, back = _around(model, text.ids, translated=read.source is not None, source=source)
        base_E, name = _one(model, baseline, source=source)
        base_PE[first + front : first + len(text.ids) - back] = base_E.to(x_PE.dtype)
        first += len(text.ids)
        names.append(name)
    return base_PE, names[-1]


def _one(model: LanguageModel, baseline: str, *, source: bool) -> tuple[Tensor, str]:
    """The baseline of one token, base_E, and its name. ``source``: of a text to translate."""
    network = model.network
    weight_VE = (network.source_embedding if source else network.embedding).matrix.detach()
    if baseline == "zero":
        return torch.zeros_like(weight_VE[0]), "zero"
    if baseline == "mean":
        tokens_V = torch.ones(len(weight_VE), dtype=torch.bool, device=weight_VE.device)
        tokens_V[model.source_tokenless if source else model.tokenless] = False
        return weight_VE[tokens_V].to(wide(weight_VE.dtype)).mean(dim=0), "mean"
    token = token_of(model, baseline, "baseline", source=source)
    return weight_VE[token], model.labels([token], source=source)[0]


def _around(model: LanguageModel, ids: list[int], *, translated: bool, source: bool) -> tuple[int, int]:
    """How many special tokens are before a text's own, and after them."""
    if translated and source:
        before, after = model.source_edges
        return len(before), len(after)
    if translated:
        return 1 if forced(model).first is None else 2, 0
    front, back = model.tokenizer.front, model.tokenizer.back
    return (
        len(front) if tuple(ids[: len(front)]) == front else 0,
        len(back) if tuple(ids[len(ids) - len(back) :]) == back else 0,
    )


def _check_memory(model: LanguageModel, places: int) -> None:
    need = places * model.config.training_numbers() * model.dtype.itemsize
    check_free(
        need,
        model.device,
        f"a gradient over {places:,} tokens needs about {need / 1e9:,.1f} GB",
        "give a shorter text",
    )
