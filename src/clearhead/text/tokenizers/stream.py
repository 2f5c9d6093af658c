"""Text from ids as they arrive, one at a time, without ever yielding half a character."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol


class TextStream(Protocol):
    """The pushes and the finish, joined, are the decoded text of all ids.

    (Except that the number of U+FFFD may differ if SentencePiece's byte tokens are not UTF-8: its decoder also replaces
    bytes before the wrong one, which a stream has already shown.)
    """

    def push(self, token: int) -> str:
        """The characters that this id completes; "" while a character lacks bytes."""
        ...

    def finish(self) -> str:
        """What was held back: U+FFFD for a character that stayed incomplete."""
        ...


class ByteStream:
    """For tokenizers whose ids stand for bytes."""

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._decoder.decode(self._bytes_of(token))

    def finish(self) -> str:
        return self._decoder.decode(b"", True)


class WindowStream:
    """For tokenizers whose ids decode differently next to others (a first "▁" yields no space, for instance).

    Decodes the ids since the last complete character together with those of the step before it, and yields what is
    new: the cost of a push does not grow with the text.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._known = 0  # how many of the ids have been shown

    def push(self, token: int) -> str:
        self._ids.append(token)
        new = self._new()
        if not new or new.endswith("\ufffd"):
            return ""
        self._ids, self._known = self._ids[self._known :], len(self._ids) - self._known
        return new

    def finish(self) -> str:
        new = self._new()
        self._ids, self._known = [], 0
        return new

    def _new(self) -> str:
        shown = self._decode(self._ids[: self._known])
        return self._decode(self._ids)[len(shown) :]
