"""Settings for picking the next token."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearhead.errors import OptionError

# Below this, dividing by the temperature could overflow float32; such a temperature is greedy anyway.
COLDEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Sampling settings. The filters apply in the order of the fields, as in transformers.

    Raises OptionError with the value and the rule.
    """

    max_tokens: int = 100  # maximum number of new tokens
    repetition_penalty: float = 1.0  # of tokens already in the text: divides positive logits, multiplies others
    temperature: float = 0.8  # divides the logits; 0 = greedy: the likeliest token, without the filters below
    top_k: int | None = None  # keep the k likeliest tokens, ties included
    top_p: float | None = None  # keep the fewest tokens whose probabilities add up to this, ties included
    min_p: float | None = None  # keep tokens at least this fraction as likely as the likeliest
    stop: tuple[str, ...] = ()  # end the text before the first of these strings
    seed: int = 0  # the same prompt and seed give the same text, alone or among other prompts

    def __post_init__(self) -> None:
        _rule("max_tokens", self.max_tokens, is_whole(self.max_tokens) and self.max_tokens >= 1,
              "a whole number of at least 1")  # fmt: skip
        _rule("repetition_penalty", self.repetition_penalty, is_finite(self.repetition_penalty)
              and self.repetition_penalty > 0, "above 0; 1 means no penalty")  # fmt: skip
        _rule("temperature", self.temperature, is_finite(self.temperature)
              and (self.temperature == 0 or self.temperature >= COLDEST),
              f"0 (greedy) or at least {COLDEST}")  # fmt: skip
        _rule("top_k", self.top_k, self.top_k is None or (is_whole(self.top_k) and self.top_k >= 1),
              "a whole number of at least 1; leave it out to keep all tokens")  # fmt: skip
        _rule("top_p", self.top_p, self.top_p is None or (is_finite(self.top_p) and 0 < self.top_p <= 1),
              "above 0 and at most 1")  # fmt: skip
        _rule("min_p", self.min_p, self.min_p is None or (is_finite(self.min_p) and 0 <= self.min_p <= 1),
              "between 0 and 1")  # fmt: skip
        stops = isinstance(self.stop, tuple) and all(isinstance(stop, str) for stop in self.stop)  # pyright: ignore[reportUnnecessaryIsInstance]
        _rule("stop", self.stop, stops, "a tuple of strings")
        if "" in self.stop:
            raise OptionError("stop (--stop) has an empty string; give at least one character, or leave it out")
        _rule(
            "seed",
            self.seed,
            is_whole(self.seed) and 0 <= self.seed < 2**64,
            "a whole number of at least 0 and below 2**64",
        )

    @property
    def greedy(self) -> bool:
        """True when the likeliest token is always picked, with nothing random."""
        return self.temperature == 0


def is_whole(value: object) -> bool:
    """True for a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rule(name: str, value: object, kept: bool, rule: str) -> None:
    if not kept:
        raise OptionError.of(name, value, rule)
