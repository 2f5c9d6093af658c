"""Compares kinds of models trained on the same tokens. What is finished is in comparison.json and not done again."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from clearhead import machine, runs
from clearhead.errors import ConfigError, FolderError, OptionError, many, unread
from clearhead.files import check_name, read_bounded, write_text
from clearhead.generation import check_scores
from clearhead.lab.plan import TRAINED, Budget, Seconds, budget, sweep_steps, swept
from clearhead.lab.question import Question
from clearhead.lab.speeds import Speed, speeds
from clearhead.lab.trial import Result, Trial, carried_out
from clearhead.model import DecoderConfig, ModelConfig
from clearhead.plain import from_dict, to_dict
from clearhead.runs import Events, Material
from clearhead.runs.changes import differing
from clearhead.runs.folder import held
from clearhead.training import Report
from clearhead.training.budget import fastest_threads, step_seconds
from clearhead.training.config import window_of

FILE = "comparison.json"
FILE_AT_MOST = 2**26
SCHEMA = "clearhead.comparison/1"
WITHIN = 0.04  # of the weights: each kind is within 2 % of the Transformer that is asked for


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The state of a comparison: the content of comparison.json.

    question: what was asked; vocabulary: of the text; machine: on what it was measured
    threads: of every run
    first: seconds of a step of a new model, by size and model, from which the length of the sweep follows
    sweep, results: finished runs
    speeds: of training and generating, by model and length
    """

    schema: str = SCHEMA
    question: Question
    vocabulary: int
    machine: str
    threads: int
    first: tuple[float, ...]
    sweep: tuple[Result, ...] = ()
    results: tuple[Result, ...] = ()
    speeds: tuple[Speed, ...] = ()

    def config(self, size: DecoderConfig, name: str) -> ModelConfig:
        """The model of this name beside this Transformer."""
        return self.question.config(replace(size, vocabulary=self.vocabulary), name)

    def first_seconds(self, size: DecoderConfig) -> dict[str, float]:
        """Seconds of a step of a new model, by model."""
        number, count = self.question.sizes.index(size), len(self.question.models)
        return dict(zip(self.question.models, self.first[number * count : (number + 1) * count], strict=True))

    def swept(self, size: DecoderConfig) -> list[Trial]:
        """The runs of the sweep at this size."""
        question = self.question
        steps = sweep_steps(question.minutes, self.first_seconds(size), len(question.rates), len(question.sizes))
        return [
            Trial(model=name, width=size.width, rate=rate, steps=steps, seed=0)
            for name in question.models
            for rate in question.rates
        ]

    def best_rate(self, size: DecoderConfig, name: str) -> float:
        """The learning rate of the sweep with the lowest loss; the lowest rate if all diverged."""
        found = [each for each in self.sweep if (each.trial.width, each.trial.model) == (size.width, name)]
        lowest = min(found, key=lambda each: (math.inf if each.loss is None else each.loss, each.trial.rate))
        return lowest.trial.rate

    def budget(self, size: DecoderConfig) -> Budget:
        """Steps at equal tokens and at equal time, from the time of the sweep's steps on the text itself."""
        each: dict[str, float] = {}
        for name in self.question.models:
            found = [r.each for r in self.sweep if (r.trial.width, r.trial.model) == (size.width, name) and r.each]
            each[name] = min(found) if found else math.nan
        known = {name: seconds for name, seconds in each.items() if not math.isnan(seconds)}
        slowest = max(known.values(), default=1.0)
        return self.planned({name: known.get(name, slowest) for name in each})

    def planned(self, each: Seconds) -> Budget:
        """The budget if a step of each model takes so long."""
        return budget(
            self.question.minutes,
            each,
            len(self.question.rates),
            self.question.seeds,
            len(self.question.sizes),
            equal_time=self.question.equal_time,
        )

    def trials(self, size: DecoderConfig, at: str) -> list[Trial]:
        """The runs that are reported at equal "tokens" or "time"; a run may be both."""
        plan = self.budget(size)
        return [
            Trial(
                model=name,
                width=size.width,
                rate=self.best_rate(size, name),
                steps=plan.tokens if at == "tokens" else plan.time[name],
                seed=seed,
            )
            for seed in range(self.question.seeds)
            for name in self.question.models
        ]

    def result(self, trial: Trial) -> Result | None:
        """The result of a run of the sweep, if it is finished."""
        return next((each for each in self.sweep if each.trial == trial), None)

    def reported(self, trial: Trial) -> Result | None:
        """The result of a run that is reported, if it is finished."""
        return next((each for each in self.results if each.trial == trial), None)


class ComparisonEvents(Events):
    """Callbacks of a comparison. By default ``say`` gets a line before each run, and the runs themselves say nothing.

    ``report`` and ``steps`` are those of the run under way.
    """

    def trial(self, trial: Trial, number: int, count: int, left: float) -> None:
        """Called before run ``number`` of ``count`` of a part. left: seconds until all is done, as planned."""
        time = many(round(left / 60), "minute") if left >= 90 else many(round(left), "second")
        self.say(
            f"run {number} of {count}: {trial.model}, width {trial.width}, rate {trial.rate:g}, {trial.steps:,} steps, "
            f"seed {trial.seed}; about {time} left in all"
        )

    def measuring(self, model: str) -> None:
        """Called before the speed of a model is measured."""
        self.say(f"measuring the speed of {model}")


class _OfRun(Events):
    """A run's events: its reports, and what stops it, but not its lines."""

    def __init__(self, events: ComparisonEvents) -> None:
        self._events = events

    def report(self, report: Report) -> None:
        self._events.report(report)

    def steps(self) -> AbstractContextManager[Callable[[], bool]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._events.steps()


def carry_out(question: Question, folder: Path, events: ComparisonEvents) -> Comparison:
    """Runs the comparison in ``folder`` to its end, continuing where an earlier call stopped.

    Raises FolderError if the folder holds anything but this comparison, Interrupted if asked to stop: the same call
    continues.
    """
    check_name(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        found = _opened(folder, question)
        if question.pairs:
            check_scores()  # fails before hours of training
        material = runs.prepare(question.text, folder, events.say, context=question.sizes[0].context)
        if found is None:
            found = _begun(question, material, events)
            _write(folder, found)
        torch.set_num_threads(found.threads)
        work = _Work(folder, found, material, events)
        work.sweep()
        work.report()
        if question.speeds:
            work.measure()
        return work.found


class _Work:
    """A comparison under way."""

    def __init__(self, folder: Path, found: Comparison, material: Material, events: ComparisonEvents) -> None:
        self.folder, self.found, self.material, self.events = folder, found, material, events

    def sweep(self) -> None:
        """Trains each model at each learning rate, briefly."""
        found = self.found
        waiting = [
            (size, trial, found.first_seconds(size)[trial.model] * trial.steps)
            for size in found.question.sizes
            for trial in found.swept(size)
            if found.result(trial) is None
        ]
        for size, trial in self.announced(
            waiting, (1 - swept(len(found.question.rates))) * TRAINED * 60 * found.question.minutes
        ):
            result = self.carry_out(size, trial, swept=True)
            self.keep(sweep=(*self.found.sweep, result))
            if result.failed is None:
                shutil.rmtree(self._of(trial, swept=True) / runs.STATE)  # nobody resumes a finished run of a sweep

    def report(self) -> None:
        """Trains each model at its best learning rate, at equal tokens and at equal time, all seeds."""
        waiting: list[tuple[DecoderConfig, Trial, float]] = []
        for size in self.found.question.sizes:
            plan = self.found.budget(size)
            trials = dict.fromkeys(each for at in self.found.question.budgets for each in self.found.trials(size, at))
            waiting += [
                (size, trial, plan.seconds * trial.steps / plan.time[trial.model])
                for trial in trials
                if self.found.reported(trial) is None
            ]
        waiting.sort(key=lambda each: each[1].seed)  # whatever stops it, all models have the same seeds
        for size, trial in self.announced(waiting, 0.0):
            result = self.carry_out(size, trial, swept=False)
            self.keep(results=(*self.found.results, result))

    def announced(
        self, waiting: list[tuple[DecoderConfig, Trial, float]], after: float
    ) -> Iterator[tuple[DecoderConfig, Trial]]:
        """The trials, each announced with the time left: their own seconds, and ``after`` seconds for later parts."""
        for number, (size, trial, _) in enumerate(waiting, start=1):
            left = after + sum(seconds for _, _, seconds in waiting[number - 1 :])
            self.events.trial(trial, number, len(waiting), left / TRAINED)
            yield size, trial

    def measure(self) -> None:
        """Measures speed and memory of each model of the first size."""
        size = self.found.question.sizes[0]
        known = {each.kind for each in self.found.speeds}
        for name in self.found.question.models:
            if name not in known:
                self.events.measuring(name)
                self.keep(speeds=(*self.found.speeds, *speeds(name, self.found.config(size, name))))

    def carry_out(self, size: DecoderConfig, trial: Trial, *, swept: bool) -> Result:
        return carried_out(
            self._of(trial, swept=swept),
            self.found.question,
            trial,
            self.found.config(size, trial.model),
            self.material,
            self.found.threads,
            _OfRun(self.events),
            swept=swept,
        )

    def _of(self, trial: Trial, *, swept: bool) -> Path:
        """The run's folder. A run that is reported may have as many steps as those of the sweep."""
        return self.folder / ("sweep" if swept else "runs") / trial.name

    def keep(self, **values: tuple[object, ...]) -> None:
        """Adds to what is known, and writes it."""
        self.found = replace(self.found, **values)  # pyright: ignore[reportArgumentType]
        _write(self.folder, self.found)


def _begun(question: Question, material: Material, events: ComparisonEvents) -> Comparison:
    """A new comparison: the text is long enough, the threads are chosen, a step of each model is timed."""
    vocabulary, objective = material.tokenizer.vocab_size, question.objective
    threads, context = question.train.threads, window_of(question.train, question.sizes[0])
    windows = objective.windows(material.train, context=context, batch=question.train.batch, seed=0)
    data = objective.batch(windows.at(0), 0)  # of the text itself: in associative recall, few tokens are targets
    if threads is None:
        first = question.config(replace(question.sizes[0], vocabulary=vocabulary), "transformer")
        threads, reason = fastest_threads(first, events.say, data=data)
        events.say(f"chosen: {reason}")
    torch.set_num_threads(threads)
    found = Comparison(question=question, vocabulary=vocabulary, machine=machine_name(), threads=threads, first=())
    for size in question.sizes:
        for name in question.models:
            config = found.config(size, name)
            seconds = step_seconds(config, data, "float32", repeats=2)
            speed = question.train.batch * context / seconds
            events.say(f"{name}: {config.parameters():,} weights, about {speed:,.0f} tokens/s")
            found = replace(found, first=(*found.first, seconds))
        _check_equal({name: found.config(size, name).parameters() for name in question.models})
    for size in question.sizes:  # raises OptionError now, not after the sweep, if the minutes are too few
        found.swept(size)
        found.planned(found.first_seconds(size))
    return found


def machine_name() -> str:
    """The processor or GPU, cores and torch, for whoever reads the figures."""
    device = torch.cuda.get_device_name() if machine.device() == "cuda" else machine.processor()
    return f"{device}, {many(machine.cores(), 'core')}, torch {torch.__version__}"


def _check_equal(weights: Mapping[str, int]) -> None:
    """Raises OptionError if a model has WITHIN more weights than another: a small shape cannot be matched by all."""
    most, least = max(weights, key=lambda name: weights[name]), min(weights, key=lambda name: weights[name])
    if weights[most] > (1 + WITHIN) * weights[least]:
        raise OptionError(
            f"{most} would have {weights[most]:,} weights and {least} {weights[least]:,}, which differ by more than "
            f"{WITHIN:.0%}; give a larger shape (--set model.layers=2 or more, --width), or leave out one of them"
        )


def _write(folder: Path, found: Comparison) -> None:
    write_text(folder / FILE, json.dumps(to_dict(found), ensure_ascii=False, indent=1) + "\n")


def read(folder: Path) -> Comparison:
    """The comparison in a folder. Raises FolderError if there is none, or it was altered."""
    try:
        table = json.loads(read_bounded(folder / FILE, FILE_AT_MOST))
        if not isinstance(table, dict):
            raise ValueError("it is not a table")
        return from_dict(Comparison, cast(dict[str, object], table))
    except OSError as fault:
        raise FolderError(
            f"{folder / FILE}: cannot be read: {fault.strerror}; give the folder of a comparison"
        ) from None
    except (ValueError, TypeError, RecursionError, ConfigError) as fault:
        raise FolderError(f"{folder / FILE}: was altered, or is from another version ({unread(fault)})") from None


def _opened(folder: Path, question: Question) -> Comparison | None:
    """The comparison to go on with; None in an empty folder."""
    if not (folder / FILE).exists():
        if any(path.name != FILE and not path.name.startswith(".") for path in folder.iterdir()):
            raise FolderError(f"{folder}: exists already and holds no comparison; choose another with --out")
        return None
    found = read(folder)
    changed = [
        f"{name} was {old!r} and is now {new!r}"
        for name, old, new in differing(to_dict(found.question), _plain(question))
    ]
    if changed:
        raise FolderError(
            f"{folder}: holds another comparison: {'; '.join(changed[:3])}; ask as before to continue it, or choose "
            "another folder with --out"
        )
    return found


def _plain(question: Question) -> Mapping[str, object]:
    return json.loads(json.dumps(to_dict(question)))
