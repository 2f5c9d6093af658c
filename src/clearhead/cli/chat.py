"""``clearhead chat``: a conversation with a chat model."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhead.cli.models import Bits, DraftBits, Drafted, Dtype, Model, Threads, load_draft, load_model
from clearhead.cli.sampling import MinP, RepetitionPenalty, Temperature, TopK, TopP, chosen


def chat(
    model: Model,
    system: Annotated[str | None, typer.Option(help="The system message, which tells the model how to answer.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum new tokens per answer; 2048 by default.")] = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repetition_penalty: RepetitionPenalty = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed and messages give the same answers; by default a random seed.")
    ] = None,
    draft: Drafted = None,
    draft_bits: DraftBits = None,
    dtype: Dtype = "auto",
    bits: Bits = None,
    threads: Threads = None,
) -> None:
    """Chat with a model that has a chat template, one message per line.

    Only the answers go to standard output, as they are written. Input may be
    piped. /help lists the commands; Ctrl-C stops an answer, /bye or Ctrl-D
    ends the chat. A conversation that outgrows the context length is an
    error; nothing is dropped.
    """
    from clearhead.cli.talking import TOKENS, Talk
    from clearhead.generation import Conversation, resolved

    options = chosen(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    loaded = load_model(model, dtype, threads, bits=bits)
    if "max_new_tokens" not in loaded.metadata.generation:
        options.setdefault("max_tokens", TOKENS)
    sampling = resolved(loaded, options)
    other = load_draft(model, draft, dtype, threads, draft_bits)
    Talk(loaded, Conversation(loaded, system=system, draft=other), sampling).run()
