"""Context: attention, recurrence and convolution in networks of equal size, on stories and on associative recall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.drawing.report import Curve, Curves, Paragraph, Report, Table
from clearhead.errors import TrainingError
from clearhead.lab.bins import Bin
from clearhead.lab.comparison import FILE, ComparisonEvents, carry_out, read
from clearhead.lab.note import recalling
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.note.recalling import Recaller
from clearhead.lab.note.variants import SHAPE
from clearhead.lab.question import asked
from clearhead.lab.summary import BUDGETS, Line, lines
from clearhead.training import Report as Progress

MODELS = ("transformer", "lstm", "convolution")
RATES = (0.003, 0.01)
# A step of this takes 0.1 s on two cores: a few minutes are enough for every model at every rate.
SMALL: dict[str, Any] = {"model": {**SHAPE, "context": 256}, "train": {"batch": 8}}
STORIES = 1000  # held out, whose facts are asked
FOLDER, RECALL_FOLDER = "comparison", "recall"
RECALL = 0.5  # of the minutes, for associative recall; the rest for the stories
FAR = 32  # a fact told at least so many tokens before is far
LEAST = 20  # fewest cases in a point of a curve; fewer say little


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model at one budget, "tokens" or "time". loss: nats a token on held-out stories

    places: loss by tokens read before; recalled, pronouns: share of facts predicted, by tokens since they were told
    """

    name: str
    at: str
    weights: int
    tokens: int
    rate: float
    loss: float
    places: tuple[Bin, ...]
    recalled: tuple[Bin, ...]
    pronouns: tuple[Bin, ...]


@dataclass(frozen=True, kw_only=True)
class ContextFound:
    """What the experiment on context found.

    models: on the stories, at both budgets; reach: tokens that the convolution can read back there

    recallers: on associative recall
    """

    models: tuple[Model, ...]
    reach: int
    corpus: str
    recallers: tuple[Recaller, ...]


def run(bench: Bench) -> ContextFound:
    """Trains the models as ``clearhead compare`` does."""
    minutes, events = bench.minutes("context"), _Shown(bench)
    recall, stories = bench.folder / RECALL_FOLDER, bench.folder / FOLDER
    recallers = recalling.measured(recall, _begun(recall) or RECALL * minutes, bench.threads, events)
    question = asked(
        text={"corpus": bench.setting.corpus, "megabytes": bench.setting.megabytes},
        models=MODELS,
        rates=RATES,
        settings=[SMALL],
        minutes=_begun(stories) or (1 - RECALL) * minutes,
        facts=STORIES,
        speeds=False,
        threads=bench.threads,
    )
    found = lines(carry_out(question, stories, events))
    reach = next((line.reach for line in found if line.reach is not None), 0)
    return ContextFound(
        models=tuple(_model(line) for line in found),
        reach=reach,
        corpus=bench.setting.corpus,
        recallers=recallers,
    )


def _begun(folder: Path) -> float | None:
    """The minutes of a comparison that a stopped session began here, which may differ from these; else None."""
    return read(folder).question.minutes if (folder / FILE).exists() else None


class _Shown(ComparisonEvents):
    """The comparison's lines and steps, shown by those of the session."""

    def __init__(self, bench: Bench) -> None:
        self._events = bench.events

    def say(self, line: str) -> None:
        self._events.say(line)

    def report(self, report: Progress) -> None:
        self._events.report(report)

    def steps(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._events.steps()


def _model(line: Line) -> Model:
    facts = {each.kind: each.distances for each in line.facts}
    if line.loss is None:
        raise TrainingError(
            f"lab context: training the {line.model} diverged at rate {line.rate:g}; try another --seed"
        )
    return Model(
        name=line.model,
        at=line.at,
        weights=line.weights,
        tokens=line.tokens,
        rate=line.rate,
        loss=line.loss.mean,
        places=line.places,
        recalled=facts.get("recall", ()),
        pronouns=facts.get("pronoun", ()),
    )


def far(bins: tuple[Bin, ...]) -> tuple[float, int] | None:
    """The mean over the bins from FAR on, and how many cases they have; None if there are none."""
    last = [each for each in bins if each.low >= FAR]
    count = sum(each.count for each in last)
    return (sum(each.mean * each.count for each in last) / count, count) if count else None


def leads(first: tuple[float, int] | None, others: list[tuple[float, int] | None]) -> bool:
    """Whether the first share exceeds each of the others by more than two standard errors of their difference."""
    if first is None:
        return False
    for other in others:
        share, count = other or (0.0, first[1])
        error = math.sqrt(first[0] * (1 - first[0]) / first[1] + share * (1 - share) / count)
        if first[0] - share <= 2 * error:
            return False
    return True


def report(found: ContextFound, says: Phrases) -> Report:
    """The findings in words and charts. The verdict follows by the rule that the page states."""
    by = {(each.name, each.at): each for each in found.models}
    best = {
        at: min((each for each in found.models if each.at == at), key=lambda each: each.loss).name for at in BUDGETS
    }
    remembered = {name: far(by[name, "time"].recalled) for name in MODELS}
    remembers = leads(remembered["transformer"], [remembered[name] for name in MODELS[1:]])
    first = list(best.values()).count("transformer") + remembers
    recall = recalling.judged(found.recallers)
    holds = "partly" if recall == "yes" or first else "no" if recall == "no" else "open"
    if recall == "yes" and first == len(best) + 1:
        holds = "yes"
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds=holds,
        verdict=recalling.verdict(found.recallers, says)
        + says(
            "verdict",
            tokens=_losses(by, "tokens", says),
            time=_losses(by, "time", says),
            far=FAR,
            recall=says.joined(f"{name} {_share(share)}" for name, share in remembered.items()),
            count=f"{(remembered['transformer'] or (0.0, 0))[1]:,}",
        )
        + says("remembers" if remembers else "no_lead")
        + says("caution"),
        blocks=(
            Paragraph(text=says("rule", solved=f"{recalling.SOLVED:.0%}", failed=f"{recalling.FAILED:.0%}")),
            *recalling.blocks(found.recallers, says),
            Table(
                title=says("table"),
                header=says.listed("table_header"),
                rows=tuple(
                    (
                        each.name,
                        says(each.at),
                        f"{each.weights:,}",
                        f"{each.tokens:,}",
                        f"{each.loss:.4f}",
                        _share(far(each.recalled)),
                        _share(far(each.pronouns)),
                    )
                    for each in found.models
                ),
                note=says("table_note", far=FAR, reach=found.reach),
            ),
            *(
                _curves(name, by, says)
                for name in ("places", "recalled", "pronouns")
                if min(len(_points(by[model, "time"], name)) for model in MODELS) > 1
            ),
        ),
        repeat=(
            f"clearhead compare --corpus {recalling.TASK} "
            + " ".join(f"--model {name}" for name in (*recalling.ATTEND, *recalling.DO_NOT))
            + f" --rate {recalling.RATE:g} --set train.batch={recalling.ROWS} --minutes 10",
            f"clearhead compare --corpus {found.corpus} "
            + " ".join(f"--model {name}" for name in MODELS)
            + " --minutes 20",
        ),
    )


def _curves(name: str, by: dict[tuple[str, str], Model], says: Phrases) -> Curves:
    """A curve for each model at equal time."""
    points = {model: _points(by[model, "time"], name) for model in MODELS}
    return Curves(
        title=says(name, at=says("time")),
        x=says(f"{name}_x"),
        y=says(f"{name}_y"),
        curves=tuple(
            Curve(name=model, x=tuple(float(each.low) for each in bins), y=tuple(each.mean for each in bins))
            for model, bins in points.items()
        ),
        log=True,
        note=says(f"{name}_note", least=LEAST),
    )


def _points(model: Model, name: str) -> list[Bin]:
    return [each for each in getattr(model, name) if each.count >= LEAST]


def _share(found: tuple[float, int] | None) -> str:
    return "-" if found is None else f"{found[0]:.1%}"


def _losses(by: dict[tuple[str, str], Model], at: str, says: Phrases) -> str:
    return says.joined(f"{name} {by[name, at].loss:.3f}" for name in MODELS)


EXPERIMENT = Experiment(name="context", needs=("context",), found=ContextFound, run=run, report=report)
