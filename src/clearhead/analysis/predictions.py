"""The distribution of the next token, what sampling settings do to it, and how it forms layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis.asked import finite
from clearhead.analysis.given import Given, Read, read
from clearhead.attend import wide
from clearhead.errors import OptionError
from clearhead.generation import Sampling
from clearhead.generation.filters import filtered
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import evaluating, log_probabilities, needs
from clearhead.notebook import Displayed
from clearhead.tap import Site
from clearhead.watching import Edit, edited, watch
from clearhead.watching.edits import listed
from clearhead.watching.notation import under
from clearhead.watching.places import placed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A token that may come next. ``label`` shows it as it stands after the text: a byte of a character as 都₂.

    probability: of the model itself (``model.log_probabilities``)
    sampled: after temperature and filters, among the tokenizer's tokens; 0 if they remove it, None without any
    """

    id: int
    label: str
    probability: float
    sampled: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerPrediction:
    """The likeliest tokens read from the residual stream at a site, through the final norm and the output layer.

    entropy: in nats; rank: of the model's own likeliest token among the tokens here, from 1; probability: of that token
    """

    site: Site
    candidates: tuple[Candidate, ...]
    entropy: float
    rank: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class NextWords(Displayed):
    """The ``top`` likeliest next tokens of a text, best first.

    text: None if ids were given
    source: the text that a translator reads; ``text`` and ``tokens`` are then the translation so far
    settings: the sampling settings that were given; kept: how many tokens they leave; without any, all
    rest: probability of all other tokens together; sampled_rest: the same after the settings, None without any
    tokenless: probability of the ids that the tokenizer has no token for, together
    entropy: of the model's distribution over all ids, in nats
    layers: before the first layer and after each, if asked for
    """

    model: str | None
    source: str | None
    text: str | None
    tokens: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    rest: float
    sampled_rest: float | None
    tokenless: float
    entropy: float
    vocabulary: int
    settings: dict[str, float]
    kept: int
    layers: tuple[LayerPrediction, ...] = ()


def next_words(
    model: LanguageModel,
    text: Given,
    *,
    target: str | None = None,
    top: int = 10,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    layers: bool = False,
    edits: Edit | Sequence[Edit] = (),
) -> NextWords:
    """The ``top`` likeliest tokens after ``text``, from one pass.

    text: a text or a row of ids, special tokens included
    target: for a translator, which reads ``text``: the translation so far, whose next token is predicted; None: empty
    edits: what to change in the pass (``watching.edits``); places may be words of the text. The result's ``model``
        names them after the model
    temperature, top_k, top_p: also give the probabilities under these, by the sampler's own rules; a temperature of 0
        leaves only the likeliest
    layers: also read the stream before the first layer and after each with the final norm and the output layer, at the
        last place (logit lens: nostalgebraist 2020)

    Raises OptionError if the model does not predict next tokens, does not translate and ``target`` is given, or has no
    residual stream and ``layers`` is set, or if ``top`` or a setting is out of range; TextError if the text cannot be
    encoded or is longer than the context; WatchError for an edit that does not apply or changes nothing (``watch``);
    ClearheadError if a logit is not finite.
    """
    check_model(model, "next_words")
    needs(model, "next tokens", "next", "text to text")
    tokenless = model.tokenless
    vocabulary = model.config.vocabulary - len(tokenless)
    if not 1 <= top <= vocabulary:
        raise OptionError.of("top", top, f"at least 1 and at most {vocabulary:,}")
    asked = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    settings = {name: value for name, value in asked.items() if value is not None}
    sampling = Sampling(temperature=1.0 if temperature is None else temperature, top_k=top_k, top_p=top_p)
    kinds, stack = ("embedding", "residual"), model.stack
    sites = [site for site in model.sites() if site.stack == stack and site.kind in kinds]
    if layers and not sites:
        raise OptionError("next: this model has no residual stream to read at each layer; leave --layers out")
    given, network = _given(model, text, target), model.network
    reader = _Reader(model, given.ids, tokenless, top)
    changes = placed(listed(edits), {(0, stack): each for stack, each in given.by_stack(model).items()})
    acting = edited(model, changes) if changes else nullcontext()
    with torch.inference_mode(), evaluating(network), acting:
        logits_V, streams = _passed(model, given, sites if layers else [])
        p_V = reader.probabilities(logits_V)
        found = [
            (site, reader.probabilities(network.unembed(network.finish(x_1TE)[:, -1:])[0, -1]))
            for site, x_1TE in streams
        ]
        sampled_V = _sampled(logits_V, tokenless, sampling) if settings else None
    candidates = reader.candidates(p_V, sampled_V)
    named = [*(each.id for each in candidates), *tokenless.tolist()]
    return NextWords(
        model=under(model.name or None, changes),
        source=None if given.source is None else given.source.text,
        text=given.tokenized.text,
        tokens=tuple(given.tokenized.tokens),
        candidates=candidates,
        rest=_rest(p_V, named),
        sampled_rest=None if sampled_V is None else _rest(sampled_V, named),
        tokenless=float(p_V[tokenless].sum()),
        entropy=_entropy(p_V),
        vocabulary=vocabulary,
        settings=settings,
        kept=vocabulary if sampled_V is None else int((sampled_V > 0).sum()),
        layers=tuple(_layer_prediction(reader, site, each_V, candidates[0].id) for site, each_V in found),
    )


def _given(model: LanguageModel, text: Given, target: str | None) -> Read:
    if "text to text" in model.abilities:
        return read(model, text, "next", target=target or "")
    given = read(model, text, "next", target=target)
    if given.tokenized.text is not None:
        model.tokenizer.note_unknown(given.ids)
    return given


class _Reader:
    """Turns logits into probabilities, and these into candidates labelled as they stand after the text."""

    def __init__(self, model: LanguageModel, ids: Sequence[int], tokenless: Tensor, top: int) -> None:
        self._model, self._ids, self._tokenless, self._top = model, list(ids), tokenless, top

    def probabilities(self, logits_V: Tensor) -> Tensor:
        return log_probabilities(finite(logits_V, len(self._ids))).exp()

    def of_tokens(self, p_V: Tensor) -> Tensor:
        return p_V.index_fill(0, self._tokenless, -1.0)

    def candidates(self, p_V: Tensor, sampled_V: Tensor | None = None) -> tuple[Candidate, ...]:
        most = self.of_tokens(p_V).topk(self._top)
        return tuple(
            Candidate(
                id=token,
                label=self._model.labels([*self._ids, token])[-1],
                probability=probability,
                sampled=None if sampled_V is None else float(sampled_V[token]),
            )
            for token, probability in zip(most.indices.tolist(), most.values.tolist(), strict=True)
        )


def _passed(model: LanguageModel, given: Read, sites: Sequence[Site]) -> tuple[Tensor, list[tuple[Site, Tensor]]]:
    """One pass: the logits of the last place, and the residual stream x_1TE at each of the sites."""
    inputs = given.inputs(model)
    if not sites:
        return model.network(**inputs, last=True)[0, -1], []
    with watch(model, keep="residual") as record:
        logits_V = model.network(**inputs, last=True)[0, -1]
    return logits_V, [(site, record.only().output(site)[None]) for site in sites]


def _sampled(logits_V: Tensor, tokenless: Tensor, sampling: Sampling) -> Tensor:
    """The probabilities that the sampler draws from."""
    logits_V = logits_V.to(wide(logits_V.dtype)).index_fill(0, tokenless, -torch.inf)
    if sampling.greedy:
        return torch.nn.functional.one_hot(logits_V.argmax(), len(logits_V)).to(logits_V.dtype)
    return filtered(logits_V[None], sampling)[0].softmax(-1)


def _layer_prediction(reader: _Reader, site: Site, p_V: Tensor, likeliest: int) -> LayerPrediction:
    return LayerPrediction(
        site=site,
        candidates=reader.candidates(p_V),
        entropy=_entropy(p_V),
        rank=1 + int((reader.of_tokens(p_V) > p_V[likeliest]).sum()),
        probability=float(p_V[likeliest]),
    )


def _rest(p_V: Tensor, named: Sequence[int]) -> float:
    """The probability of all other ids."""
    return float(p_V.index_fill(0, torch.tensor(named, device=p_V.device), 0.0).sum())


def _entropy(p_V: Tensor) -> float:
    return float(torch.special.entr(p_V).sum())
