"""Fills the spans that are missing from a text, with T5 and its like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from clearhead.errors import OptionError, shown
from clearhead.generation.beams import BeamSearch, Hypothesis
from clearhead.generation.search import BEAMS
from clearhead.generation.sources import editing, read, source_ids
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import needs
from clearhead.text.data.pair_tokens import longest_answer
from clearhead.watching import Edit
from clearhead.watching.edits import listed

FIRST = "<extra_id_0>"


@dataclass(frozen=True, kw_only=True)
class FilledText:
    """A text whose missing spans are filled; ``str()`` gives it.

    spans: what fills <extra_id_0>, <extra_id_1>, ...
    ids: the ids the model wrote: each sentinel and its span, and the sentinel after the last span
    logprob: the sum of their log-probabilities, in nats
    score: logprob / number of ids, by which the best are found
    """

    text: str
    spans: tuple[str, ...]
    ids: tuple[int, ...]
    logprob: float
    score: float

    def __str__(self) -> str:
        return self.text


def fill_spans(
    model: LanguageModel, text: str, *, top: int = 5, max_tokens: int | None = None, edits: Edit | Sequence[Edit] = ()
) -> list[FilledText]:
    """The ``top`` best ways to fill the spans of ``text`` marked <extra_id_0>, <extra_id_1>, ..., best first.

    T5 answers with each sentinel and the text it stands for (Raffel et al. 2020, 3.1.4); a beam search finds the
    answers that have all spans in order, none of them empty. ``max_tokens`` is the most ids of an answer, sentinels
    included; None = 3 times the text's, plus 10. ``edits`` change the model as it runs
    (``watching.edits``); places in the encoder may be words of the text.
    Raises OptionError for a model without such tokens, a text without spans or with spans out of order, or a value out
    of range, TextError for a text longer than the context, NotFiniteError if the model's logits are not finite,
    WatchError for an edit that does not apply or changes nothing.
    """
    check_model(model, "fill_spans")
    needs(model, "text to text", "fill_spans")
    if top < 1:
        raise OptionError.of("top", top, "at least 1")
    source = source_ids(model, text)
    sentinels, room = _sentinels(model, text, source), model.config.context
    spans = len(sentinels) - 1
    limit = min(longest_answer(len(source)), room) if max_tokens is None else max_tokens
    if limit < spans + len(sentinels):
        raise OptionError.of("max_tokens", limit, f"at least {spans + len(sentinels)} for {spans} spans")
    if limit > room:
        raise OptionError.of("max_tokens", limit, f"at most {room:,}, the model's context")
    return _found(model, text, source, _InOrder(model, sentinels, limit), top, listed(edits))


def _found(
    model: LanguageModel, text: str, source: list[int], grammar: _InOrder, top: int, edits: Sequence[Edit]
) -> list[FilledText]:
    start, _ = model.target_edges
    beams = max(BEAMS, top)
    with editing(model, [source], [start], edits) as numbers:
        (found,) = BeamSearch(
            model.network,
            [start],
            read(model, [source], grammar.limit, beams, numbers),
            texts=1,
            beams=beams,
            length_penalty=1.0,
            ends=frozenset(grammar.sentinels[-1:]),
            limits=[grammar.limit],
            forbid=grammar,
            numbers=numbers,
        ).run()
    return [_filled(model, text, each, grammar.sentinels) for each in found[:top]]


def _sentinels(model: LanguageModel, text: str, source: Sequence[int]) -> list[int]:
    """The ids of the text's sentinels, and of the one that ends the answer. Raises OptionError."""
    known = model.tokenizer.sentinels
    if not known:
        raise OptionError(f"the tokenizer has no tokens for missing spans, such as {FIRST}; T5 and its like fill spans")
    given = [token for token in source if token in known]
    if not given:
        raise OptionError(f"{shown(text)}: has no missing span; write {FIRST} where text is missing")
    if len(given) >= len(known):
        raise OptionError(f"{shown(text)}: has {len(given)} missing spans; this model fills at most {len(known) - 1}")
    if given != known[: len(given)]:
        numbers = ", ".join(f"<extra_id_{known.index(token)}>" for token in given)
        raise OptionError(f"{shown(text)}: marks its spans {numbers}; number them from 0, in order, each once")
    return known[: len(given) + 1]


class _InOrder:
    """Allows well-formed answers only: every sentinel, in order, with a span of ordinary tokens between two."""

    def __init__(self, model: LanguageModel, sentinels: list[int], limit: int) -> None:
        self.sentinels, self.limit = sentinels, limit
        ordinary = torch.from_numpy(model.tokenizer.ordinary)[: model.config.vocabulary]
        self._ordinary = torch.zeros(model.config.vocabulary, dtype=torch.bool)
        self._ordinary[: len(ordinary)] = ordinary
        self._ordinary = self._ordinary.to(model.device)

    def __call__(self, logprobs_RV: Tensor, new: list[list[int]]) -> None:
        allowed_RV = torch.stack([self._next(ids) for ids in new])
        logprobs_RV.masked_fill_(~allowed_RV, -torch.inf)

    def _next(self, ids: list[int]) -> Tensor:
        begun = sum(token in self.sentinels for token in ids)
        empty = bool(ids) and ids[-1] in self.sentinels
        rest = len(self.sentinels) - begun  # sentinels that are still to come
        needed = rest + max(0, rest - 1) + empty
        may_V = self._ordinary.clone()
        if not ids or (not empty and len(ids) + needed >= self.limit):
            may_V[:] = False
        if not empty and begun < len(self.sentinels):
            may_V[self.sentinels[begun]] = True
        return may_V


def _filled(model: LanguageModel, text: str, found: Hypothesis, sentinels: list[int]) -> FilledText:
    places = [found.ids.index(token) for token in sentinels]
    spans = tuple(model.tokenizer.decode(found.ids[first + 1 : last]).strip() for first, last in pairwise(places))
    return FilledText(text=put_in(text, spans), spans=spans, ids=found.ids, logprob=found.logprob, score=found.score)


def put_in(text: str, spans: Sequence[str]) -> str:
    """The text with its sentinels replaced by the spans."""
    return re.sub(r"<extra_id_(\d+)>", lambda match: spans[int(match[1])], text)
