"""Prompts in, text out: all at once, or in pieces as it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from clearhead.errors import OptionError, TextError
from clearhead.generation.decoding import Decoding, Drawn, Memory
from clearhead.generation.sampling import Sampling
from clearhead.generation.writer import Writer
from clearhead.model import Network, needs
from clearhead.tap import reserve
from clearhead.text import Tokenizer

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

    def __str__(self) -> str:
        return self.prompt + self.text


@dataclass(kw_only=True)
class _Text:
    """One text while it grows."""

    writer: Writer
    length: int  # tokens so far, those in front counted
    new: int = 0
    ids: list[int] = field(default_factory=list[int])


def generate(
    transformer: Network,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling: Sampling | None = None,
    *,
    together: int = TOGETHER,
    ends: Collection[int] | None = None,
) -> list[Completion]:
    """One completion for each prompt, in their order; see ``stream`` for the rules and errors."""
    texts: list[list[Piece]] = [[] for _ in prompts]
    for piece in stream(transformer, tokenizer, prompts, sampling, together=together, ends=ends):
        texts[piece.prompt].append(piece)
    return [complete(tokenizer, prompt, pieces) for prompt, pieces in zip(prompts, texts, strict=True)]


def complete(tokenizer: Tokenizer, prompt: str, pieces: Sequence[Piece]) -> Completion:
    """The completion that all the pieces of one prompt make."""
    ids = tuple(piece.id for piece in pieces)
    finish = pieces[-1].finish
    if finish is None:
        raise OptionError(f"{len(pieces)} pieces after {prompt!r} were given; the last one of the text is missing")
    return Completion(
        prompt=prompt,
        text="".join(piece.text for piece in pieces),
        ids=ids,
        tokens=tuple(tokenizer.labels(ids)),
        logprobs=tuple(piece.logprob for piece in pieces),
        finish=finish,
    )


def stream(
    transformer: Network,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling: Sampling | None = None,
    *,
    together: int = TOGETHER,
    ends: Collection[int] | None = None,
) -> Iterator[Piece]:
    """The texts in pieces, one per token, as they come; ``together`` prompts are written at a time.

    Around each prompt stands what the tokenizer puts there, as in training text; an empty prompt starts from it. A text
    ends where the model writes one of ``ends``, which are the tokenizer's unless given. Every text is what it would be
    alone, up to the rounding of matrix products. Raises TextError at once for a prompt longer than the context or
    outside the tokenizer's characters, MemoryNeededError before a batch is begun, and ClearheadError when the model's
    numbers are not finite.
    """
    encoded = [encode(tokenizer, prompt, transformer.config.context) for prompt in prompts]
    tokenizer.note_unknown([token for ids in encoded for token in ids])
    return stream_ids(transformer, tokenizer, encoded, sampling, together=together, ends=ends)


def stream_ids(
    transformer: Network,
    tokenizer: Tokenizer,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling | None = None,
    *,
    together: int = TOGETHER,
    ends: Collection[int] | None = None,
    memory: Memory | None = None,
) -> Iterator[Piece]:
    """``stream`` for prompts that are ids already, none empty, none longer than the context; nothing stands around.

    memory: of the prompt before, for a single one that may begin as it does.
    """
    needs(transformer, "next tokens", "generate")
    sampling = Sampling() if sampling is None else sampling
    if together < 1:
        raise OptionError(f"together is {together}; it must be at least 1")
    config = transformer.config
    for ids in encoded:
        if max(ids) >= config.vocabulary:
            raise TextError(
                f"the tokenizer gave the id {max(ids)}; the model has ids 0 to {config.vocabulary - 1}; leave out "
                f"{tokenizer.decode([max(ids)])!r}, which this model does not know"
            )
    if ends is None:
        ends = () if tokenizer.end is None else (tokenizer.end,)
    return _stream(transformer, tokenizer, encoded, sampling, together, frozenset(ends), memory)


def encode(tokenizer: Tokenizer, prompt: str, context: int) -> list[int]:
    """The ids of a prompt and what stands around it; TextError when they are none, or more than ``context``.

    An empty prompt around which nothing stands is the token with the role bos, as in transformers.
    """
    ids = tokenizer.encode_document(prompt)
    start = tokenizer.role("bos")
    if not ids and start is not None:
        ids = [start]
    if not ids:
        raise TextError("the prompt is empty, and this tokenizer has no token to start from; give some text")
    if len(ids) > context:
        raise TextError(
            f"the prompt {_beginning(prompt)} has {len(ids)} tokens{tokenizer.counted}; the model's context is "
            f"{context}; shorten it"
        )
    return ids


def _stream(
    transformer: Network,
    tokenizer: Tokenizer,
    encoded: Sequence[Sequence[int]],
    sampling: Sampling,
    together: int,
    ends: frozenset[int],
    memory: Memory | None,
) -> Iterator[Piece]:
    numbers = reserve(len(encoded))
    own = tokenizer.separator is not None and tokenizer.separator == tokenizer.end
    for first in range(0, len(encoded), together):
        batch = encoded[first : first + together]
        texts = [_text(tokenizer, ids, sampling) for ids in batch]
        decoding = Decoding(
            transformer,
            batch,
            sampling,
            vocabulary=min(tokenizer.vocab_size, transformer.config.vocabulary),
            gaps=tokenizer.gaps,
            memory=memory if len(encoded) == 1 else None,
            numbers=numbers[first : first + together],
            unseen=int(own),  # transformers' penalty counts what stands in front of a released model's text
        )
        while decoding.live:
            for drawn in decoding.step():
                if drawn.text not in decoding.live:
                    continue  # guesses that came right behind the text's end
                piece = _piece(texts[drawn.text], drawn, first, ends, sampling, transformer)
                if piece.finish is not None:
                    decoding.drop(drawn.text)
                yield piece


def _text(tokenizer: Tokenizer, ids: Sequence[int], sampling: Sampling) -> _Text:
    stream = tokenizer.stream()
    for token in ids:  # what a token's text is may depend on the one before it
        stream.push(token)
    return _Text(writer=Writer(stream, sampling.stop), length=len(ids))


def _piece(
    text: _Text, drawn: Drawn, first: int, ends: frozenset[int], sampling: Sampling, transformer: Network
) -> Piece:
    """The piece a token makes, and whether it is the text's last."""
    text.new += 1
    text.length += 1
    finish: Finish | None = None
    if drawn.id in ends:
        finish = "end"
    elif text.new == sampling.max_tokens:
        finish = "length"
    elif text.length > transformer.config.context:
        finish = "context"
    written = "" if finish == "end" else text.writer.push(drawn.id)
    if finish is not None:
        written += text.writer.finish(cut=finish != "end")
    if text.writer.stopped:
        finish = "stop"
    return Piece(prompt=first + drawn.text, text=written, id=drawn.id, logprob=drawn.logprob, finish=finish)


def _beginning(prompt: str) -> str:
    return repr(prompt if len(prompt) <= 40 else prompt[:40] + "...")
