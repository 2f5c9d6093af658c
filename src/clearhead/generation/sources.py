"""The texts that translators read: their ids, the edits under which they are read, and the encoder's pass."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext

from clearhead.errors import TextError, many
from clearhead.language_model import LanguageModel
from clearhead.machine import check_free
from clearhead.model import Network, State
from clearhead.model.parts.source import roomy
from clearhead.tap import reserve, rows
from clearhead.watching import Edit, edited, tokenized_text
from clearhead.watching.places import placed


def source_ids(model: LanguageModel, text: str) -> list[int]:
    """The ids of a text as a translator reads it: with the end token, and its language's if the tokenizer has any.

    Raises TextError if it is longer than the context.
    """
    before, after = model.source_edges
    ids = [*before, *model.tokenizer.source.encode(text.strip()), *after]
    if len(ids) > model.config.context:
        around = len(before) + len(after)
        raise TextError(
            f"the text {text[:40]!r}... has {len(ids) - around:,} tokens; the model translates up to "
            f"{model.config.context - around:,} at once; split it into sentences, one per line"
        )
    return ids


@contextmanager
def editing(
    model: LanguageModel, sources: Sequence[Sequence[int]], begun: Sequence[int], edits: Sequence[Edit]
) -> Generator[Sequence[int] | None]:
    """Applies the edits to texts of these ids, whose answers all begin with ``begun``.

    Yields the texts' numbers in records, to which edits refer; None without edits. Raises WatchError for an edit that
    does not apply or changes nothing.
    """
    if not edits:
        yield None
        return
    known = {(n, "encoder"): tokenized_text(model, ids, source=True) for n, ids in enumerate(sources)}
    known |= {(n, model.stack): tokenized_text(model, begun) for n in range(len(sources))}
    with edited(model, placed(edits, known)):
        yield reserve(len(sources))


def read(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    places: int,
    beams: int,
    numbers: Sequence[int] | None,
    known: State | None = None,
) -> State:
    """A state that has read the texts, for answers of up to ``places`` ids; ``numbers`` as ``editing`` gives them.

    known: a state that is no longer needed; its memory may be used again
    Raises MemoryNeededError, with bytes needed and bytes free, before allocating anything.
    """
    if len(sources) == 1:
        places = max(places, min(model.config.context, roomy(places)))
    if known is None or known.capacity < places or len(sources) > 1:  # measuring takes as long as a token
        _check_memory(model.network, sources, places, beams)
    with nullcontext() if numbers is None else rows(numbers):
        return model.network.translating(sources, places, beams, known=known)


def _check_memory(network: Network, sources: Sequence[Sequence[int]], places: int, beams: int) -> None:
    """The beams of a text share what is kept of it: the state of no places."""
    texts, shared = len(sources), network.state_bytes(1, 0)
    states = texts * (beams * (network.state_bytes(1, places) - shared) + shared)
    reading, writing = network.pass_bytes(texts, max(map(len, sources))), network.pass_bytes(texts * beams, 1)
    need = states + max(reading, writing)
    check_free(
        need,
        network.device,
        f"a search with {many(beams, 'beam')} for {many(texts, 'text')} at once needs {need / 1e9:,.1f} GB",
        "ask for fewer beams or fewer texts at once",
    )
