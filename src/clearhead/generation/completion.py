"""Prompts in, text out: all at once, or in pieces as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, overload

from clearhead.errors import OptionError
from clearhead.generation.decoding import Decoding, Drawn, Memory
from clearhead.generation.defaults import defaults, resolved
from clearhead.generation.sampling import Sampling
from clearhead.generation.writer import Writer
from clearhead.language_model import LanguageModel, as_texts
from clearhead.model import needs
from clearhead.tap import reserve
from clearhead.text import Tokenizer
from clearhead.watching import Edit, Record, TextRecord, Words, watch

# Why a text ended: a stop string, an end token that the model wrote, max_tokens, or the end of the model's context.
Finish = Literal["stop", "end", "length", "context"]

# Prompts written at the same time: they share each reading of the weights. One core, GPT-2's 124M shape, float32: 16
# give 5.9 times the tokens per second of one, 8 give 2.9 times, 4 give 2.0 times.
TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one more token adds to one text. ``text`` may be "": a character or a stop string is not yet decided."""

    prompt: int  # which of the prompts, counted from 0
    text: str
    id: int
    logprob: float  # natural logarithm of the model's own probability, before temperature and filters
    finish: Finish | None  # set on the last piece of each text


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What the model wrote after a prompt; ``str()`` is both together.

    ``text`` ends before a stop string or an end token and holds whole characters; ``ids`` are all that were chosen,
    those of the stop string and the end token too.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]  # one display string per id
    logprobs: tuple[float, ...]  # natural logarithms of the model's own probabilities, before temperature and filters
    finish: Finish
    record: TextRecord | None = field(default=None, compare=False, repr=False)  # of what was written under edits

    def __str__(self) -> str:
        return self.prompt + self.text


@dataclass(kw_only=True)
class _Text:
    """One text while it grows."""

    writer: Writer
    length: int  # tokens so far, those in front counted
    new: int = 0
    ids: list[int] = field(default_factory=list[int])


@overload
def generate(
    model: LanguageModel, prompt: str, *, edits: Sequence[Edit] = (), together: int = TOGETHER, **sampling: Any
) -> Completion: ...
@overload
def generate(
    model: LanguageModel,
    prompt: list[str],
    *,
    edits: Sequence[Edit] = (),
    together: int = TOGETHER,
    **sampling: Any,
) -> list[Completion]: ...
def generate(
    model: LanguageModel,
    prompt: str | list[str],
    *,
    edits: Sequence[Edit] = (),
    together: int = TOGETHER,
    **sampling: Any,
) -> Completion | list[Completion]:
    """Goes on writing after a prompt, or after each of several; ``sampling`` are the fields of ``Sampling``.

    What is not named is as the model's generation_config.json has it, which is logged. Writing under ``edits`` is
    watched: each completion has its ``record``. ``print(generate(...))`` shows prompt and text.
    Raises OptionError for a value out of range, WatchError for an edit that cannot act; for the rest see ``stream``.
    """
    chosen = resolved(model, sampling)
    prompts = as_texts(prompt, "generate")
    if edits:
        with watch(model, edits) as record:
            completions = _all(model, prompts, chosen, together)
        completions = _recorded(model, completions, record)
    else:
        completions = _all(model, prompts, chosen, together)
    return completions[0] if isinstance(prompt, str) else completions


def _all(model: LanguageModel, prompts: Sequence[str], sampling: Sampling, together: int) -> list[Completion]:
    texts: list[list[Piece]] = [[] for _ in prompts]
    for piece in stream(model, prompts, sampling, together=together):
        texts[piece.prompt].append(piece)
    return [complete(model, prompt, pieces) for prompt, pieces in zip(prompts, texts, strict=True)]


def _recorded(model: LanguageModel, completions: Sequence[Completion], record: Record) -> list[Completion]:
    """The completions, each with what the record holds of it and the words of its places."""
    record.model = model.name or None
    found: list[Completion] = []
    for number, completion in zip(record.texts, completions, strict=True):
        ids = [*model.encode(completion.prompt), *completion.ids][:-1]  # no pass has read the last one
        record.words[number] = Words(tokens=model.labels(ids), ids=ids)
        found.append(replace(completion, record=TextRecord(record, number)))
    return found


def complete(model: LanguageModel, prompt: str, pieces: Sequence[Piece]) -> Completion:
    """The completion that all the pieces of one prompt make."""
    ids = tuple(piece.id for piece in pieces)
    finish = pieces[-1].finish
    if finish is None:
        raise OptionError(f"{len(pieces)} pieces after {prompt!r} were given; the last one of the text is missing")
    return Completion(
        prompt=prompt,
        text="".join(piece.text for piece in pieces),
        ids=ids,
        tokens=tuple(model.labels(ids)),
        logprobs=tuple(piece.logprob for piece in pieces),
        finish=finish,
    )


def stream(
    model: LanguageModel, prompts: Sequence[str], sampling: Sampling | None = None, *, together: int = TOGETHER
) -> Iterator[Piece]:
    """The texts in pieces, one per token, as they come; ``together`` prompts are written at a time.

    Around each prompt stands what the tokenizer puts there, as in training text; an empty prompt starts from it. A text
    ends where the model writes one of the tokens that its folder names for that, else the tokenizer's. Every text is
    what it would be alone, up to the rounding of matrix products. Raises TextError at once for a prompt longer than the
    context or outside the tokenizer's characters, MemoryNeededError before a batch is begun, and ClearheadError when
    the model's numbers are not finite.
    """
    encoded = [model.encode(prompt, _called(prompt)) for prompt in prompts]
    model.tokenizer.note_unknown([token for ids in encoded for token in ids])
    return stream_ids(model, encoded, sampling, together=together)


def stream_ids(
    model: LanguageModel,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling | None = None,
    *,
    together: int = TOGETHER,
    memory: Memory | None = None,
) -> Iterator[Piece]:
    """``stream`` for prompts that are ids already; nothing stands around them.

    memory: of the prompt before, for a single one that may begin as it does.
    """
    needs(model.network, "next tokens", "generate")
    if together < 1:
        raise OptionError(f"together is {together}; it must be at least 1")
    for ids in encoded:
        model.check(ids, "the prompt")
    chosen = Sampling() if sampling is None else sampling
    return _stream(model, encoded, chosen, together, defaults(model).ends, memory)


def _stream(
    model: LanguageModel,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling,
    together: int,
    ends: frozenset[int],
    memory: Memory | None,
) -> Iterator[Piece]:
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
            memory=memory if len(encoded) == 1 else None,
            numbers=numbers[first : first + together],
            unseen=int(own),  # transformers' penalty counts what stands in front of a released model's text
        )
        while decoding.live:
            for drawn in decoding.step():
                if drawn.text not in decoding.live:
                    continue  # guesses that came right behind the text's end
                piece = _piece(texts[drawn.text], drawn, first, ends, sampling, model.config.context)
                if piece.finish is not None:
                    decoding.drop(drawn.text)
                yield piece


def _text(tokenizer: Tokenizer, ids: Sequence[int], sampling: Sampling) -> _Text:
    stream = tokenizer.stream()
    for token in ids:  # what a token's text is may depend on the one before it
        stream.push(token)
    return _Text(writer=Writer(stream, sampling.stop), length=len(ids))


def _piece(text: _Text, drawn: Drawn, first: int, ends: frozenset[int], sampling: Sampling, context: int) -> Piece:
    """The piece a token makes, and whether it is the text's last."""
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
    return Piece(prompt=first + drawn.text, text=written, id=drawn.id, logprob=drawn.logprob, finish=finish)


def _called(prompt: str) -> str:
    return f"the prompt {prompt[:40] + '...' if len(prompt) > 40 else prompt!r}"
