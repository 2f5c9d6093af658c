"""The tokens of a text, as a record has them."""

from __future__ import annotations

from dataclasses import dataclass, field


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
