"""Prompts in, text out: all at once, or streamed chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, overload

from clearhead.errors import OptionError
from clearhead.generation.decoding import Decoding, Drawn, Memory
from clearhead.generation.defaults import defaults, resolved
from clearhead.generation.draft import Draft
from clearhead.generation.sampling import Sampling
from clearhead.generation.writer import Writer
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.model import needs
from clearhead.tap import reserve
from clearhead.text import Tokenizer
from clearhead.watching import Edit, Record, TextRecord, tokenized_text, watch
from clearhead.watching.edits import listed
from clearhead.watching.places import placed

# Why a text ended: a stop string, an end token from the model, max_tokens, or a full context.
Finish = Literal["stop", "end", "length", "context"]

# Batch size for several prompts: one read of the weights serves them all. On one core, with GPT-2 124M's shape in
# float32, 4 prompts give 2.0 times the tokens per second of one, 8 give 2.9 times, 16 give 5.9 times.
TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What one new token adds to one text. ``text`` is "" while a character or a possible stop string is incomplete."""

    prompt: int  # index of the prompt
    text: str
    id: int
    logprob: float  # by the model, before temperature and filters (model.log_probabilities)
    finish: Finish | None  # set on the last chunk of each text


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote after a prompt; ``str()`` gives the prompt and the text.

    ``text`` stops before the stop string or end token and contains only whole characters. ``ids`` are all the ids the
    model generated, including those of the stop string and the end token.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]  # one display string per id
    logprobs: tuple[float, ...]  # by the model, before temperature and filters (model.log_probabilities)
    finish: Finish
    record: TextRecord | None = field(default=None, compare=False, repr=False)  # set when generated under edits

    def __str__(self) -> str:
        return self.prompt + self.text


@dataclass(kw_only=True)
class _Text:
    """A text being generated."""

    writer: Writer
    length: int  # tokens so far, prompt included
    new: int = 0
    ids: list[int] = field(default_factory=list[int])


@overload
def generate(
    model: LanguageModel,
    prompt: str,
    *,
    edits: Edit | Sequence[Edit] = (),
    draft: LanguageModel | None = None,
    together: int | None = None,
    **sampling: Any,
) -> Completion: ...
@overload
def generate(
    model: LanguageModel,
    prompt: list[str],
    *,
    edits: Edit | Sequence[Edit] = (),
    draft: LanguageModel | None = None,
    together: int | None = None,
    **sampling: Any,
) -> list[Completion]: ...
def generate(
    model: LanguageModel,
    prompt: str | list[str],
    *,
    edits: Edit | Sequence[Edit] = (),
    draft: LanguageModel | None = None,
    together: int | None = None,
    **sampling: Any,
) -> Completion | list[Completion]:
    """Continues a prompt, or each of several; ``sampling`` takes the fields of ``Sampling``.

    Settings you leave out come from the model's generation_config.json, and are logged. Under ``edits`` the model is
    watched, and each completion carries its ``record``; places in edits may be words of the prompt. A ``draft``, a
    faster model with the same tokens, guesses ahead; the text stays what it would be without it.
    ``print(generate(...))`` shows prompt and text.
    Raises OptionError for a value out of range, WatchError for an edit that does not apply, and whatever ``stream``
    raises.
    """
    check_model(model, "generate")
    chosen = resolved(model, sampling)
    prompts = as_texts(prompt, "generate")
    guesser = None if draft is None else Draft(draft, model)
    if edits:
        with watch(model, in_prompts(model, prompts, edits)) as record:
            completions = _all(model, prompts, chosen, guesser, together)
        completions = _recorded(model, completions, record)
    else:
        completions = _all(model, prompts, chosen, guesser, together)
    return completions[0] if isinstance(prompt, str) else completions


def in_prompts(model: LanguageModel, prompts: Sequence[str], edits: Edit | Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits with their places resolved: words of the prompts, and places counted from a prompt's end."""
    encoded = [model.encode(prompt, _called(prompt)) for prompt in prompts]
    return placed(
        listed(edits), {(number, model.stack): tokenized_text(model, ids) for number, ids in enumerate(encoded)}
    )


def _all(
    model: LanguageModel, prompts: Sequence[str], sampling: Sampling, draft: Draft | None, together: int | None
) -> list[Completion]:
    texts: list[list[Chunk]] = [[] for _ in prompts]
    for chunk in stream(model, prompts, sampling, draft=draft, together=together):
        texts[chunk.prompt].append(chunk)
    return [complete(model, prompt, chunks) for prompt, chunks in zip(prompts, texts, strict=True)]


def _recorded(model: LanguageModel, completions: Sequence[Completion], record: Record) -> list[Completion]:
    """The completions, each with its own part of the record and its token labels."""
    record.model = model.name or None
    found: list[Completion] = []
    for number, completion in zip(record.texts, completions, strict=True):
        ids = [*model.encode(completion.prompt), *completion.ids][:-1]  # the last id has not been through the model
        record.tokenized[number, model.stack] = tokenized_text(model, ids)
        found.append(replace(completion, record=TextRecord(record, number)))
    return found


def complete(model: LanguageModel, prompt: str, chunks: Sequence[Chunk]) -> Completion:
    """Joins all the chunks of one prompt into a completion."""
    ids = tuple(chunk.id for chunk in chunks)
    finish = chunks[-1].finish
    if finish is None:
        raise OptionError(f"got {len(chunks)} chunks for {prompt!r}, but not the last one; pass all the chunks")
    return Completion(
        prompt=prompt,
        text="".join(chunk.text for chunk in chunks),
        ids=ids,
        tokens=tuple(model.labels(ids)),
        logprobs=tuple(chunk.logprob for chunk in chunks),
        finish=finish,
    )


def stream(
    model: LanguageModel,
    prompts: Sequence[str],
    sampling: Sampling | None = None,
    *,
    draft: Draft | None = None,
    together: int | None = None,
) -> Iterator[Chunk]:
    """Streams the texts, one chunk per token; ``together`` prompts share a batch: 16, or 1 with a draft.

    The tokenizer adds its special tokens to each prompt, as it does in training; an empty prompt is just those. A text
    ends at one of the end tokens named in the model's folder, or else at the tokenizer's. Each text is what it would be
    alone, up to rounding in matrix products, and to the bit with ``together=1``. Raises TextError right away for a
    prompt longer than the context length or with characters the tokenizer lacks, MemoryNeededError before a batch that
    does not fit in memory, and ClearheadError if the model's logits are not finite.
    """
    encoded = [model.encode(prompt, _called(prompt)) for prompt in prompts]
    model.tokenizer.note_unknown([token for ids in encoded for token in ids])
    return stream_ids(model, encoded, sampling, draft=draft, together=together)


def stream_ids(
    model: LanguageModel,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling | None = None,
    *,
    draft: Draft | None = None,
    together: int | None = None,
    memory: Memory | None = None,
) -> Iterator[Chunk]:
    """``stream`` for prompts that are already ids; no special tokens are added.

    memory: the KV cache of an earlier prompt, to reuse the part both share (single prompt only)
    """
    needs(model, "next tokens", "generate")
    together = (TOGETHER if draft is None else 1) if together is None else together
    if together < 1:
        raise OptionError.of("together", together, "at least 1")
    if draft is not None and together > 1:
        raise OptionError.of("together", together, "1 with a draft, which guesses for one text at a time")
    for ids in encoded:
        model.check(ids, "the prompt")
    chosen = Sampling() if sampling is None else sampling
    return _stream(model, encoded, chosen, together, defaults(model).ends, memory, draft)


def _stream(
    model: LanguageModel,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling,
    together: int,
    ends: frozenset[int],
    memory: Memory | None,
    draft: Draft | None,
) -> Iterator[Chunk]:
    network, tokenizer, numbers = model.network, model.tokenizer, reserve(len(encoded))
    own = tokenizer.separator is not None and tokenizer.separator == tokenizer.end
    for first in range(0, len(encoded), together):
        batch = encoded[first : first + together]
        texts = [_text(tokenizer, ids, sampling) for ids in batch]
        decoding = Decoding(
            network,
            batch,
            sampling,
            vocabulary=min(tokenizer.vocab_size, model.config.vocabulary),
            gaps=tokenizer.gaps,
            draft=draft,
            memory=memory if len(encoded) == 1 else None,
            numbers=numbers[first : first + together],
            unseen=int(own),  # transformers' penalty counts the tokens in front of a released model's text
        )
        while decoding.live:
            for drawn in decoding.step():
                if drawn.sequence not in decoding.live:
                    continue  # correct guesses past the end of the text
                chunk = _chunk(texts[drawn.sequence], drawn, first, ends, sampling, model.config.context)
                if chunk.finish is not None:
                    decoding.drop(drawn.sequence)
                yield chunk


def _text(tokenizer: Tokenizer, ids: Sequence[int], sampling: Sampling) -> _Text:
    stream = tokenizer.stream()
    for token in ids:  # a token's text can depend on the token before it
        stream.push(token)
    return _Text(writer=Writer(stream, sampling.stop), length=len(ids))


def _chunk(text: _Text, drawn: Drawn, first: int, ends: frozenset[int], sampling: Sampling, context: int) -> Chunk:
    """Turns a drawn token into a chunk, and decides whether it ends the text."""
    text.new += 1
    text.length += 1
    finish: Finish | None = None
    if drawn.id in ends:
        finish = "end"
    elif text.new == sampling.max_tokens:
        finish = "length"
    elif text.length > context:
        finish = "context"
    written = "" if finish == "end" else text.writer.push(drawn.id)
    if finish is not None:
        written += text.writer.finish(cut=finish != "end")
    if text.writer.stopped:
        finish = "stop"
    return Chunk(prompt=first + drawn.sequence, text=written, id=drawn.id, logprob=drawn.logprob, finish=finish)


def _called(prompt: str) -> str:
    return f"the prompt {prompt[:40] + '...' if len(prompt) > 40 else prompt!r}"
