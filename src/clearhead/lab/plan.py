"""How the minutes of a comparison are spent: on a sweep of learning rates first, then on the runs that are reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clearhead.errors import OptionError

TRAINED = 0.75  # fraction of the minutes for training steps; the rest evaluates, saves and measures speeds
SWEPT = 0.25  # fraction of the training time for a sweep of several rates
TIMED = 0.05  # fraction of it for a sweep of one, which only times the steps
LEAST_STEPS = 10  # a run with fewer tells nothing

Seconds = Mapping[str, float]  # of a training step, by model


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Steps of the runs that are reported.

    tokens: steps at equal tokens, the same for every model: as many as the slowest takes in ``seconds``
    time: steps at equal time, by model: as many as it takes in ``seconds``
    """

    tokens: int
    time: dict[str, int]
    seconds: float


def swept(rates: int) -> float:
    """Fraction of the training time for a sweep of so many rates."""
    return SWEPT if rates > 1 else TIMED


def sweep_steps(minutes: float, each: Seconds, rates: int, sizes: int) -> int:
    """Steps of each run of the sweep, the same for all models of one of ``sizes`` sizes.

    At least LEAST_STEPS if there is one rate, as timing needs no more. Raises OptionError if there are too few of
    several.
    """
    steps = swept(rates) * TRAINED * 60 * minutes / sizes / (rates * sum(each.values()))
    return max(LEAST_STEPS, int(steps)) if rates == 1 else _enough(steps, minutes, "of the sweep")


def budget(minutes: float, each: Seconds, rates: int, seeds: int, sizes: int, *, equal_time: bool = True) -> Budget:
    """Splits the training time that the sweep leaves. Raises OptionError if a run would have too few steps.

    At equal tokens each model trains for its part of T seconds, t / t_slowest; at equal time for all of them, and the
    slowest trains once for both. So T (sum of t / t_slowest + models - 1) seconds are used for each seed; without the
    runs at equal time, T (sum of t / t_slowest).
    """
    slowest = max(each.values())
    shares = sum(seconds / slowest for seconds in each.values()) + (len(each) - 1 if equal_time else 0)
    seconds = (1 - swept(rates)) * TRAINED * 60 * minutes / sizes / (seeds * shares)
    tokens = _enough(seconds / slowest, minutes, "at equal tokens")
    return Budget(
        tokens=tokens,
        time={name: max(tokens, int(seconds / step)) for name, step in each.items()},
        seconds=seconds,
    )


def _enough(steps: float, minutes: float, what: str) -> int:
    if steps < LEAST_STEPS:
        need = minutes * LEAST_STEPS / steps
        raise OptionError(
            f"minutes {minutes:g}: that leaves {steps:.1f} steps for each run {what}, and {LEAST_STEPS} are the least; "
            f"give about {need * 1.1:.2g} minutes, or fewer models, rates, seeds or widths"
        )
    return int(steps)
