"""``clearhead generate``: continue a prompt."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.edits import Edits
from clearhead.cli.models import Bits, DraftBits, Drafted, Dtype, Model, Threads, load_draft, load_model
from clearhead.cli.printing import echo, write, write_json
from clearhead.cli.sampling import MinP, RepetitionPenalty, Temperature, TopK, TopP, chosen
from clearhead.cli.utf8 import read_text
from clearhead.errors import TextError, many

if TYPE_CHECKING:
    from clearhead.generation import Chunk, Completion, Sampling
    from clearhead.language_model import LanguageModel

FIGURES = ("prompt", "text", "ids", "tokens", "logprobs", "finish")  # fields of a completion in the JSON output

# Why a text ended, for the summary line.
ENDS = {
    "stop": "up to a stop string",
    "end": "until the model ended the text",
    "length": "as many as requested",
    "context": "until the context was full",
}


def generate(
    model: Model,
    prompt: Annotated[
        list[str] | None, typer.Argument(help="Texts to continue; without one, the model starts a text.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum new tokens per prompt; 100 by default.")] = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repetition_penalty: RepetitionPenalty = None,
    stop: Annotated[list[str] | None, typer.Option(help="End the text before this string. Repeatable.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed and prompt give the same text; by default a random seed, which is printed."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one line of JSON per prompt: prompt, text, ids, tokens, logprobs (natural logs of the "
            "model's probabilities, before temperature and filters), finish, seed.",
        ),
    ] = False,
    file: Annotated[
        str | None, typer.Option("--file", help="A file with one prompt per line; `-` is standard input.")
    ] = None,
    together: Annotated[
        int | None,
        typer.Option(
            help="Prompts per batch; 16 by default, 1 with a draft. With 1, slower, each prompt gives the same bits as "
            "alone."
        ),
    ] = None,
    edit: Edits = None,
    draft: Drafted = None,
    draft_bits: DraftBits = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Continue each prompt, in order.

    Only prompts and texts go to standard output, as they are written, with
    an empty line between two prompts. A text ends where the model ends it,
    before a stop string, after --max-tokens, or when the context is full,
    which is reported. A released model's generation_config.json sets the
    defaults of these options, which is reported too.
    """
    from clearhead.cli.edits import check_forms, parsed
    from clearhead.generation import Draft, resolved, stream
    from clearhead.generation.completion import in_prompts
    from clearhead.watching import edited

    prompts = [*(prompt or []), *(_lines(file) if file is not None else [])] or [""]
    options = chosen(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop) if stop else None,
        seed=seed,
    )
    check_forms(edit)
    loaded = load_model(model, dtype, threads, bits=bits)
    other = load_draft(model, draft, dtype, threads, draft_bits)
    guesser = None if other is None else Draft(other, loaded)
    sampling = resolved(loaded, options)
    changes = in_prompts(loaded, prompts, parsed(loaded, edit)) if edit else ()
    began = time.perf_counter()
    with edited(loaded, changes) if changes else nullcontext():
        chunks = in_order(stream(loaded, prompts, sampling, draft=guesser, together=together))
        completions = _printed(loaded, prompts, chunks, sampling, as_json=as_json)
    echo(_summary(completions, time.perf_counter() - began, None if sampling.greedy else sampling.seed), err=True)
    if guesser is not None:
        echo(f"the draft guessed {many(guesser.guessed, 'token')}; {guesser.right:,} were right", err=True)


def _printed(
    loaded: LanguageModel, prompts: Sequence[str], chunks: Iterable[Chunk], sampling: Sampling, *, as_json: bool
) -> list[Completion]:
    """Prints the texts as they are written, or their JSON, and says which filled the context."""
    from clearhead.generation import complete

    completions: list[Completion] = []
    for prompt_chunks in _by_prompt(chunks, prompts, quiet=as_json):
        completion = complete(loaded, prompts[len(completions)], prompt_chunks)
        completions.append(completion)
        if as_json:
            figures = {name: getattr(completion, name) for name in FIGURES}
            write_json({**figures, "seed": sampling.seed})
        if completion.finish == "context":
            which = f"prompt {len(completions)}: " if len(prompts) > 1 else ""
            echo(
                f"{which}stopped after {len(completion.ids)} of {sampling.max_tokens} tokens: the model's context of "
                f"{loaded.config.context} tokens, prompt included, is full",
                err=True,
            )
    return completions


def in_order(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Streams the chunks of the first prompt, then those of the second, ...; chunks that come early wait."""
    waiting: dict[int, list[Chunk]] = {}
    front = 0
    for chunk in chunks:
        waiting.setdefault(chunk.prompt, []).append(chunk)
        while ready := waiting.pop(front, []):
            yield from ready
            if ready[-1].finish is None:
                break
            front += 1


def _by_prompt(chunks: Iterable[Chunk], prompts: Sequence[str], *, quiet: bool) -> Iterator[list[Chunk]]:
    """Yields all chunks of the first prompt, then of the second, ...; prints their text as it comes, unless quiet."""
    held: list[Chunk] = []
    for chunk in chunks:
        if not quiet:
            begins = "" if held else ("\n" if chunk.prompt else "") + prompts[chunk.prompt]
            write(begins + chunk.text + ("" if chunk.finish is None else "\n"))
        held.append(chunk)
        if chunk.finish is not None:
            yield held
            held = []


def _summary(completions: Sequence[Completion], seconds: float, seed: int | None) -> str:
    number = sum(len(completion.ids) for completion in completions)
    why = f" ({ENDS[completions[0].finish]})" if len(completions) == 1 else ""
    drawn = "" if seed is None else f"; seed {seed}"
    return f"{many(number, 'token')}{why} in {seconds:.1f} s, {number / seconds:.0f} tokens/s{drawn}"


def _lines(file: str) -> list[str]:
    """The lines of a file or of standard input, without line breaks; an empty line is an empty prompt."""
    text = read_text(file)
    if not text:
        raise TextError(f"{'standard input' if file == '-' else file}: is empty; it must have one prompt per line")
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n")]
