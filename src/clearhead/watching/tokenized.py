"""The tokens of a text, as a record has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(kw_only=True)
class TokenizedText:
    """A text and its tokens.

    tokens: display string of each place. ids: one per place; empty if unknown. text: as given.
    pieces: the characters each place completes; joined, they are the decoded text.
    """

    tokens: list[str] = field(default_factory=list[str])
    ids: list[int] = field(default_factory=list[int])
    pieces: list[str] = field(default_factory=list[str])
    text: str | None = None


class Labelling(Protocol):
    """A model that shows its tokens; ``source``: those of a text that it translates."""

    @property
    def has_tokenizer(self) -> bool: ...
    def labels(self, ids: Iterable[int], *, source: bool = False) -> list[str]: ...
    def pieces(self, ids: Iterable[int], *, source: bool = False) -> list[str]: ...


def tokenized_text(
    model: Labelling, ids: Sequence[int], text: str | None = None, *, source: bool = False
) -> TokenizedText:
    """The ids, labels and pieces of a text's tokens; ``source``: of a text that is translated."""
    pieces = model.pieces(ids, source=source) if model.has_tokenizer else []
    return TokenizedText(tokens=model.labels(ids, source=source), ids=list(ids), pieces=pieces, text=text)
