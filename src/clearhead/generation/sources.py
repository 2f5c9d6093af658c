"""The texts that translators read: their ids, the edits under which they are read, and the encoder's pass."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext

from clearhead.errors import TextError
from clearhead.language_model import LanguageModel
from clearhead.model import State
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
    model: LanguageModel, sources: Sequence[Sequence[int]], places: int, beams: int, numbers: Sequence[int] | None
) -> State:
    """A state that has read the texts, for answers of up to ``places`` ids; ``numbers`` as ``editing`` gives them."""
    with nullcontext() if numbers is None else rows(numbers):
        return model.network.translating(sources, places, beams)
