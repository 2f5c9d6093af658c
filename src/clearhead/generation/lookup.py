"""Prompt lookup decoding: guess the next tokens from an earlier place in the text (Saxena 2023).

One pass checks several guesses, so the weights are read from memory once for all of them. The text is what it would be
without guessing; only the number of passes changes.
"""

from __future__ import annotations

from collections.abc import Iterable

# How many tokens must match the earlier place. Tokens per pass of stories260K, greedy: 1.38 with one matching token,
# 1.42 with two, 1.36 with three. At temperature 0.8: 1.15, 1.10 and 1.06, but with one, two thirds of the passes carry
# guesses that are mostly wrong and cost more than they save.
AGREEING = 2

# Guesses per pass. On two cores with AVX-512 (GPT-2 124M's shape, float32) a pass over 3 tokens costs 1.15 times a pass
# over one; 4 to 16 tokens cost 2 to 2.5 times. Hence two guesses, and many once the text repeats itself.
FEW, MANY = 2, 15


class Lookup:
    """The tokens of one text, and where each pair of tokens last occurred."""

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
        """Appends tokens to the text."""
        for token in ids:
            place = len(self._ids)
            if place >= AGREEING:
                self._after[tuple(self._ids[-AGREEING:])] = place
            self._ids.append(token)

    def guesses(self, most: int) -> list[int]:
        """What followed the last two tokens at their last occurrence, wrapping around at the end of the text; or []."""
        start = self._after.get(tuple(self._ids[-AGREEING:]))
        if start is None:
            return []
        circle = len(self._ids) - start
        number = min(most, MANY if self._right > 1 else FEW)
        return [self._ids[start + n % circle] for n in range(number)]

    def checked(self, guessed: int, right: int) -> None:
        """Notes how many of the last guesses were right."""
        if guessed:
            self._right = self._right + 1 if right == guessed else 0
