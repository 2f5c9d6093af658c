"""Streams the text of one completion: whole characters only, holding back what may turn into a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.text import TextStream


class Writer:
    """Ids in, text out. The text ends before whichever stop string completes first, however it is split into tokens."""

    def __init__(self, stream: TextStream, stops: Sequence[str] = ()) -> None:
        self._stream = stream
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False  # a stop string was found; no text follows

    def push(self, token: int) -> str:
        """Adds an id; returns the text that is now certain."""
        return self._release(self._stream.push(token))

    def finish(self, *, cut: bool) -> str:
        """The text held back so far; call it after the last id.

        cut: True if a limit ended the text: an incomplete last character is left out. If the model itself ended it,
            U+FFFD stands for the incomplete character.
        """
        rest = self._release(self._stream.finish().rstrip("\ufffd") if cut else self._stream.finish())
        rest, self._held = rest + self._held, ""
        return rest

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        ends = [(place + len(stop), place) for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if ends:
            self.stopped = True
            keep, release = 0, self._held[: min(ends)[1]]
        else:
            keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
            release = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return release


def _overlap(text: str, stop: str) -> int:
    """Length of the longest suffix of ``text`` that is a proper prefix of ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
