"""Guesses at the next tokens from an earlier place in the text (Saxena 2023, "Prompt Lookup Decoding").

One pass checks several guesses, and a matrix that is read from memory once serves all of them. What the model would
have chosen is chosen; only the number of passes changes.
"""

from __future__ import annotations

from collections.abc import Iterable

# Tokens that must agree with the earlier place. A model of little stories (stories260K) writes, per pass and greedily,
# 1.38 tokens when one must agree, 1.42 with two, 1.36 with three; at temperature 0.8 it is 1.15, 1.10 and 1.06, but
# with one, two passes of three carry guesses that are mostly wrong, and cost more than they save.
AGREEING = 2

# Guesses per pass. On the machine measured then (two cores, AVX-512; GPT-2's 124M shape, float32) a pass over 3 tokens
# cost 1.15 passes over one, from 4 to 16 tokens 2 to 2.5. So two guesses, and many once a text runs in a circle.
FEW, MANY = 2, 15


class Lookup:
    """The tokens of one text, and where every pair of them went on last."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._right = 0  # passes in a row whose guesses were all right
        self.extend(ids)

    @property
    def ids(self) -> list[int]:
        """All tokens of the text so far."""
        return self._ids

    def extend(self, ids: Iterable[int]) -> None:
        """Tokens that are now in the text."""
        for token in ids:
            place = len(self._ids)
            if place >= AGREEING:
                self._after[tuple(self._ids[-AGREEING:])] = place
            self._ids.append(token)

    def guesses(self, most: int) -> list[int]:
        """What followed when the last two tokens stood there before, going round where the text ends; or nothing."""
        start = self._after.get(tuple(self._ids[-AGREEING:]))
        if start is None:
            return []
        circle = len(self._ids) - start
        number = min(most, MANY if self._right > 1 else FEW)
        return [self._ids[start + n % circle] for n in range(number)]

    def checked(self, guessed: int, right: int) -> None:
        """How many of the last guesses were right."""
        if guessed:
            self._right = self._right + 1 if right == guessed else 0
