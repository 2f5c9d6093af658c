"""Texts in, their translations out: greedy, by beam search, or sampled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, overload

import torch
from torch import Tensor

from clearhead.errors import OptionError, TextError
from clearhead.generation.beams import BeamSearch, Hypothesis
from clearhead.generation.decoding import Decoding, Drawn
from clearhead.generation.defaults import defaults
from clearhead.generation.forced import Forced, forced
from clearhead.generation.sampling import Sampling
from clearhead.generation.search import Search, search_for
from clearhead.generation.sources import editing, read, source_ids
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.model import State, needs
from clearhead.text.data.pair_tokens import longest_answer
from clearhead.watching import Edit
from clearhead.watching.edits import listed

TOGETHER = 64  # texts translated at once
AHEAD = 16  # batches read before the first is translated, so that texts of similar length share one


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A text and its translation; ``str()`` gives the translation.

    ids: the ids the model wrote, the end token included
    logprob: the sum of their log-probabilities, in nats; 0 for tokens that the model's folder forces
    score: logprob / length ** length_penalty, by which beams are ordered
    complete: False if the translation was cut at ``max_tokens``, or had to end there
    others: the next best translations, if several were asked for
    """

    source: str
    text: str
    ids: tuple[int, ...]
    logprob: float
    score: float
    complete: bool
    others: tuple[Translation, ...] = ()

    def __str__(self) -> str:
        return self.text


@overload
def translate(
    model: LanguageModel,
    text: str,
    *,
    prefix: str = "",
    edits: Edit | Sequence[Edit] = (),
    together: int = TOGETHER,
    **search: Any,
) -> Translation: ...
@overload
def translate(
    model: LanguageModel,
    text: list[str],
    *,
    prefix: str = "",
    edits: Edit | Sequence[Edit] = (),
    together: int = TOGETHER,
    **search: Any,
) -> list[Translation]: ...
def translate(
    model: LanguageModel,
    text: str | list[str],
    *,
    prefix: str = "",
    edits: Edit | Sequence[Edit] = (),
    together: int = TOGETHER,
    **search: Any,
) -> Translation | list[Translation]:
    """Translates a text, or each of several; ``search`` takes the fields of ``Search``.

    Settings you leave out come from the model's generation_config.json, and are logged.
    ``prefix`` is how every translation starts; ``together`` texts are translated at once, those of similar length. An
    empty text has an empty translation. ``print(translate(...))`` shows the translation. A model of many languages is
    told which ones by ``model.with_languages``. ``edits`` change the model as it runs (``watching.edits``); places in
    the encoder may be words of the text, those in the decoder words of the prefix.
    Raises OptionError for a model that does not translate or does not know into which language, an unknown setting or a
    value out of range, TextError for a text longer than the context or with characters the tokenizer lacks,
    MemoryNeededError if the texts translated at once do not fit in memory, NotFiniteError if the model's logits are not
    finite, WatchError for an edit that does not apply or changes nothing.
    """
    check_model(model, "translate")
    texts = as_texts(text, "translate")
    chosen = search_for(model, search)
    found = list(stream_translations(model, texts, chosen, prefix=prefix, edits=edits, together=together))
    return found[0] if isinstance(text, str) else found


def stream_translations(
    model: LanguageModel,
    texts: Iterable[str],
    search: Search | None = None,
    *,
    prefix: str = "",
    edits: Edit | Sequence[Edit] = (),
    together: int = TOGETHER,
) -> Iterator[Translation]:
    """The translations in order, while ``texts`` are read 16 batches at a time, or one by one if ``together`` is 1.

    With ``edits``, which refer to texts by number, all texts are read first. ``search``: None = that of the model's
    folder; the other arguments are those of ``translate``.
    """
    check_model(model, "translate")
    needs(model, "text to text", "translate")
    if together < 1:
        raise OptionError.of("together", together, "at least 1")
    search, changes = search or search_for(model, {}), listed(edits)
    if changes:
        return _edited(model, list(texts), changes, search, prefix, together)
    return _streamed(model, texts, search, prefix, together)


def _edited(
    model: LanguageModel, texts: list[str], edits: Sequence[Edit], search: Search, prefix: str, together: int
) -> Iterator[Translation]:
    begun, _ = _begun(model, prefix, forced(model))
    sources = [source_ids(model, text) for text in texts]
    with editing(model, sources, begun, edits) as numbers:
        found = list(_streamed(model, texts, search, prefix, together, numbers))
    yield from found


def _streamed(
    model: LanguageModel,
    texts: Iterable[str],
    search: Search,
    prefix: str,
    together: int,
    numbers: Sequence[int] | None = None,
) -> Iterator[Translation]:
    """Translates block by block. numbers: the texts' numbers in records; None: each beam is a text there."""
    every, fixed, before, last = iter(texts), forced(model), 0, _Last()
    while block := list(islice(every, 1 if together == 1 else AHEAD * together)):
        sources = [source_ids(model, text) for text in block]
        order = sorted(range(len(block)), key=lambda n: -len(sources[n]))
        wanted = [n for n in order if block[n].strip()]
        found = {n: _nothing(text) for n, text in enumerate(block) if not text.strip()}
        for first in range(0, len(wanted), together):
            batch = wanted[first : first + together]
            mine = None if numbers is None else [numbers[before + n] for n in batch]
            made = _batch(model, [sources[n] for n in batch], search, fixed, prefix, mine, last)
            hidden = 0 if prefix or fixed.first is None else 1  # a forced start is no part of the text
            for n, hypotheses in zip(batch, made, strict=True):
                first, *others = (_text_of(model, block[n], each, prefix, hidden) for each in hypotheses[: search.best])
                found[n] = replace(first, others=tuple(others))
        yield from (found[n] for n in range(len(block)))
        before += len(block)


def _nothing(text: str) -> Translation:
    return Translation(source=text, text="", ids=(), logprob=0.0, score=0.0, complete=True)


def _begun(model: LanguageModel, prefix: str, fixed: Forced) -> tuple[list[int], Forced]:
    """The ids that every translation starts with, and what is still forced after them."""
    start, _ = model.target_edges
    written = model.tokenizer.encode(prefix)
    if written and fixed.first is not None:
        written, fixed = [fixed.first, *written], replace(fixed, first=None)
    return [start, *written], fixed


@dataclass
class _Last:
    """The state of the last batch: of single texts, the next one uses its memory and what was recorded with it."""

    state: State | None = None


def _batch(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    search: Search,
    fixed: Forced,
    prefix: str,
    numbers: Sequence[int] | None,
    last: _Last,
) -> list[list[Hypothesis]]:
    """The finished translations of each source, best first."""
    start, end = model.target_edges
    begun, fixed = _begun(model, prefix, fixed)
    room = model.config.context - len(begun) + 1
    limits = [min(search.max_tokens or longest_answer(len(source)), room) for source in sources]
    if room < 1:
        written = len(model.tokenizer.encode(prefix))
        most = model.config.context - (len(begun) - written)
        raise TextError(f"the prefix has {written:,} tokens; the model has room for {most:,}; shorten it")
    state = last.state = read(model, sources, len(begun) + max(limits) - 1, search.beams, numbers, last.state)
    ends = defaults(model).ends | {end}
    # The id before a translation never occurs in one. OPUS-MT's is padding, whose logit is 0: average, not lowest.
    never = [] if start in ends else [start]
    if search.sampling is not None:
        return _drawn(model, begun, sources, state, search, search.sampling, ends, fixed, never, limits, numbers)
    return BeamSearch(
        model.network,
        begun,
        state,
        texts=len(sources),
        beams=search.beams,
        length_penalty=search.length_penalty,
        early_stopping=search.early_stopping,
        forced=fixed,
        ends=ends,
        limits=limits,
        forbid=_Forbidden(torch.cat([model.tokenless, model.tokenless.new_tensor(never)]), search.no_repeat, begun[1:]),
        numbers=numbers,
    ).run()


def _drawn(
    model: LanguageModel,
    begun: list[int],
    sources: Sequence[Sequence[int]],
    state: State,
    search: Search,
    sampling: Sampling,
    ends: frozenset[int],
    fixed: Forced,
    never: Sequence[int],
    limits: Sequence[int],
    numbers: Sequence[int] | None,
) -> list[list[Hypothesis]]:
    """A random translation of each source; it depends on source and seed, not on the rest of the batch."""
    tokenizer, network = model.tokenizer, model.network
    first = [] if fixed.first is None else [fixed.first]
    decoding = Decoding(
        network,
        [[*begun, *first]] * len(limits),
        sampling,
        vocabulary=min(tokenizer.vocab_size, model.config.vocabulary),
        gaps=[*tokenizer.gaps, *never],
        unseen=len(begun),
        numbers=numbers,
        state=state,
        read=sources,
    )
    drawn = [[Drawn(text, each, 0.0) for each in first] for text in range(len(limits))]

    def check(text: int) -> None:
        """Ends a translation that is complete or has reached its limit."""
        mine, limit = drawn[text], limits[text]
        whole = len(mine) > len(first) and mine[-1].id in ends
        if not whole and len(mine) == limit - 1 and fixed.last is not None:
            mine.append(Drawn(text, fixed.last, 0.0))
        if whole or len(mine) == limit:
            decoding.drop(text)

    for text in range(len(limits)):
        check(text)
    while decoding.live:
        for token in decoding.step():
            if token.sequence in decoding.live:
                drawn[token.sequence].append(token)
                check(token.sequence)
    found: list[list[Hypothesis]] = []
    for tokens, limit in zip(drawn, limits, strict=True):
        logprob = sum(token.logprob for token in tokens)
        ids = tuple(token.id for token in tokens)
        score, ended = logprob / len(ids) ** search.length_penalty, ids[-1] in ends
        chosen = len(ids) < limit or fixed.last is None
        found.append([Hypothesis(ids, logprob, score, ended=ended, complete=ended and chosen)])
    return found


@dataclass(frozen=True, eq=False)
class _Forbidden:
    """Rules out the ids in ``never``, and those that would repeat a run of ``no_repeat`` tokens, prefix included."""

    never: Tensor
    no_repeat: int
    prefix: Sequence[int]

    def __call__(self, logprobs_RV: Tensor, new: list[list[int]]) -> None:
        if len(self.never):
            logprobs_RV.index_fill_(1, self.never, -math.inf)
        for row, ids in enumerate(new) if self.no_repeat else ():
            if banned := _repeating([*self.prefix, *ids], self.no_repeat):
                logprobs_RV[row, banned] = -math.inf


def _repeating(ids: list[int], size: int) -> list[int]:
    """The ids that would repeat a run of ``size`` tokens (Paulus et al. 2017, 2.5)."""
    last = ids[len(ids) - size + 1 :] if size > 1 else []
    runs = (ids[n : n + size] for n in range(len(ids) - size + 1))
    return [run[-1] for run in runs if run[:-1] == last]


def _text_of(model: LanguageModel, text: str, found: Hypothesis, prefix: str, hidden: int) -> Translation:
    """A hypothesis as a translation; ``hidden`` ids at its start are no text."""
    ids = [*model.tokenizer.encode(prefix), *(found.ids[hidden:-1] if found.ended else found.ids[hidden:])]
    return Translation(
        source=text,
        text=model.tokenizer.decode(ids).strip(),
        ids=found.ids,
        logprob=found.logprob,
        score=found.score,
        complete=found.complete,
    )
