"""A comparison in figures: the mean over the seeds of everything that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from clearhead.lab.bins import Bin
from clearhead.lab.comparison import Comparison
from clearhead.lab.facts import FactScore
from clearhead.lab.trial import Result
from clearhead.model import ModelConfig

BUDGETS = {"tokens": "equal tokens", "time": "equal time"}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The mean of a figure over the seeds, and half the distance from the lowest to the highest."""

    mean: float
    half: float
    count: int

    def told(self, digits: int = 3) -> str:
        """``2.413 ±0.012``; the mean alone for one seed."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.count == 1 else f"{mean} ±{self.half:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model of one size at one budget, over its seeds. A figure is None if no run has it.

    edge: whether its learning rate is the lowest or the highest of the sweep, so that a better one may lie outside
    reach: tokens a prediction depends on; None = all
    translated: tokens written a second; lengths: BLEU by tokens of the source
    """

    model: str
    width: int
    at: str
    weights: int
    rate: float
    edge: bool
    reach: int | None
    tokens: int
    runs: int
    diverged: int
    seconds: Spread | None
    loss: Spread | None
    bits_per_byte: Spread | None
    accuracy: Spread | None
    bleu: Spread | None
    chrf: Spread | None
    translated: Spread | None
    places: tuple[Bin, ...]
    recalled: tuple[Bin, ...]
    lengths: tuple[Bin, ...]
    facts: tuple[FactScore, ...]

    def distances(self, kind: str) -> tuple[Bin, ...]:
        """The facts of a kind by distance; empty if none were asked."""
        return next((each.distances for each in self.facts if each.kind == kind), ())


def lines(found: Comparison) -> list[Line]:
    """A line for each size, budget and model, in that order; those without a finished run are left out."""
    made: list[Line] = []
    for size in found.question.sizes:
        for at in found.question.budgets:
            trials = found.trials(size, at)
            for name in found.question.models:
                results = [found.reported(trial) for trial in trials if trial.model == name]
                finished = [each for each in results if each is not None]
                if finished:
                    made.append(_line(found, found.config(size, name), at, finished))
    return made


def _line(found: Comparison, config: ModelConfig, at: str, results: Sequence[Result]) -> Line:
    trial, rates = results[0].trial, found.question.rates
    return Line(
        model=trial.model,
        width=trial.width,
        at=at,
        weights=results[0].weights,
        rate=trial.rate,
        edge=len(rates) > 1 and trial.rate in (min(rates), max(rates)),
        reach=config.reach,
        tokens=results[0].tokens,
        runs=len(results),
        diverged=sum(each.failed is not None for each in results),
        seconds=_spread(results, lambda each: each.seconds or None),
        loss=_spread(results, lambda each: each.loss),
        bits_per_byte=_spread(results, lambda each: each.bits_per_byte),
        accuracy=_spread(results, lambda each: each.accuracy),
        bleu=_spread(results, lambda each: each.translations and each.translations.bleu),
        chrf=_spread(results, lambda each: each.translations and each.translations.chrf),
        translated=_spread(results, lambda each: each.translations and each.translations.speed),
        places=joined([each.places for each in results]),
        recalled=joined([each.recalled for each in results]),
        lengths=joined([each.translations.lengths for each in results if each.translations is not None]),
        facts=_facts([each.facts for each in results]),
    )


def _spread(results: Sequence[Result], figure: Callable[[Result], float | None]) -> Spread | None:
    values = [value for value in map(figure, results) if value is not None]
    if not values:
        return None
    return Spread(mean=sum(values) / len(values), half=(max(values) - min(values)) / 2, count=len(values))


def joined(every: Iterable[Sequence[Bin]]) -> tuple[Bin, ...]:
    """The bins of several runs as one, each weighted by its count."""
    whole: dict[int, Bin] = {}
    for each in (each for bins in every for each in bins):
        before = whole.get(each.low)
        if before is None:
            whole[each.low] = each
        else:
            count = before.count + each.count
            mean = (before.mean * before.count + each.mean * each.count) / count
            whole[each.low] = replace(each, count=count, mean=mean)
    return tuple(whole[low] for low in sorted(whole))


def _facts(every: Sequence[tuple[FactScore, ...]]) -> tuple[FactScore, ...]:
    """Facts of several runs as one; all runs are asked the same."""
    kinds = list(dict.fromkeys(each.kind for facts in every for each in facts))
    made: list[FactScore] = []
    for kind in kinds:
        found = [each for facts in every for each in facts if each.kind == kind]
        right = sum(each.right for each in found) / len(found)
        made.append(replace(found[0], right=right, distances=joined([each.distances for each in found])))
    return tuple(made)
