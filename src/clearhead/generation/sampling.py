"""How the next token is chosen: values that check themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearhead.errors import OptionError

# Below this the division by the temperature could leave float32's range; such a temperature means greedy anyway.
COLDEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of one generation. The filters apply in the order of the fields, as in transformers.

    Raises OptionError naming the value and the rule.
    """

    max_tokens: int = 100  # new tokens at most
    repetition_penalty: float = 1.0  # logits of tokens the text already has: divided where positive, else multiplied
    temperature: float = 0.8  # logits are divided by it; 0 = greedy: the likeliest token, the filters below unused
    top_k: int | None = None  # the k likeliest tokens, with all that tie with the last of them
    top_p: float | None = None  # the fewest likeliest tokens that together have this probability, and ties likewise
    min_p: float | None = None  # tokens at least this fraction as likely as the likeliest
    stop: tuple[str, ...] = ()  # the text ends before the first of these
    seed: int = 0  # the same prompt and seed give the same text, alone or among other prompts

    def __post_init__(self) -> None:
        _rule("max_tokens", self.max_tokens, _whole(self.max_tokens) and self.max_tokens >= 1, "at least 1")
        _rule("repetition_penalty", self.repetition_penalty, _finite(self.repetition_penalty)
              and self.repetition_penalty > 0, "above 0; 1 leaves all tokens as they are")  # fmt: skip
        _rule("temperature", self.temperature, _finite(self.temperature)
              and (self.temperature == 0 or self.temperature >= COLDEST),
              f"0 (greedy) or at least {COLDEST}")  # fmt: skip
        _rule("top_k", self.top_k, self.top_k is None or (_whole(self.top_k) and self.top_k >= 1),
              "at least 1, or left out to keep all tokens")  # fmt: skip
        _rule("top_p", self.top_p, self.top_p is None or (_finite(self.top_p) and 0 < self.top_p <= 1),
              "above 0 and at most 1")  # fmt: skip
        _rule("min_p", self.min_p, self.min_p is None or (_finite(self.min_p) and 0 <= self.min_p <= 1),
              "between 0 and 1")  # fmt: skip
        stops = isinstance(self.stop, tuple) and all(isinstance(stop, str) for stop in self.stop)  # pyright: ignore[reportUnnecessaryIsInstance]
        _rule("stop", self.stop, stops, "a tuple of strings")
        if "" in self.stop:
            raise OptionError("--stop (stop): an empty string was given; give at least one character, or leave it out")
        _rule("seed", self.seed, _whole(self.seed) and 0 <= self.seed < 2**64, "at least 0 and below 2**64")

    @property
    def greedy(self) -> bool:
        """True when the likeliest token is always taken and nothing is drawn."""
        return self.temperature == 0


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rule(name: str, value: object, kept: bool, rule: str) -> None:
    if not kept:
        raise OptionError(f"{name} is {value!r}; it must be {rule}")
