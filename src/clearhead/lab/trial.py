"""One trained model of a comparison: an ordinary run, and what is measured on it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from clearhead import corpora, runs
from clearhead.errors import TrainingError
from clearhead.lab.bins import Bin
from clearhead.lab.facts import FactScore, facts
from clearhead.lab.places import loss_by_place, recalled
from clearhead.lab.question import HELD_OUT, Question
from clearhead.lab.translations import Translations, translations
from clearhead.model import ModelConfig
from clearhead.plain import to_dict
from clearhead.runs import Events, Material, Run
from clearhead.runs.resolve import Asked
from clearhead.text import PairBatches, Pairs
from clearhead.training import Evaluated, OptimizerConfig, Report, Stepped, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A model to train. Two trials with the same values are the same run."""

    model: str
    width: int  # of the Transformer it is compared with
    rate: float
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.model}-width{self.width}-rate{self.rate:g}-steps{self.steps}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a trial gave. Losses are in nats a token (an answer in associative recall), on the validation text.

    seconds: of its training steps alone; each: of one of them, the median between two reports
    failed: why there is no loss: training diverged
    accuracy, recalled: share of answers in associative recall, in all and by distance
    translations: of the validation pairs
    """

    trial: Trial
    weights: int
    tokens: int
    seconds: float
    each: float
    failed: str | None = None
    loss: float | None = None
    bits_per_byte: float | None = None
    places: tuple[Bin, ...] = ()
    facts: tuple[FactScore, ...] = ()
    accuracy: float | None = None
    recalled: tuple[Bin, ...] = ()
    translations: Translations | None = None


def train_config(question: Question, trial: Trial, threads: int, *, swept: bool) -> TrainConfig:
    """The run's training config. A run of the sweep evaluates on less and keeps no models."""
    train = question.train
    optimizer: OptimizerConfig = replace(train.optimizer, lr=trial.rate, adamw_lr=trial.rate)
    final = train.evaluation_tokens if swept else train.final_tokens
    evaluations = min(train.evaluations, trial.steps)
    return replace(
        train,
        steps=trial.steps,
        seed=trial.seed,
        threads=threads,
        optimizer=optimizer,
        final_tokens=final,
        evaluations=1 if swept else evaluations,
        keep=None if swept else train.keep,
    )


def carried_out(
    folder: Path,
    question: Question,
    trial: Trial,
    config: ModelConfig,
    material: Material,
    threads: int,
    events: Events,
    *,
    swept: bool,
) -> Result:
    """Trains the model in ``folder``, or goes on with a run that was stopped, and measures it.

    Raises Interrupted if stopped. A loss that is not finite is a result too.
    """
    train = train_config(question, trial, threads, swept=swept)
    result = Result(
        trial=trial,
        weights=config.parameters(),
        tokens=_seen(question, trial, material, config.context),
        seconds=0.0,
        each=0.0,
    )
    try:
        run = _run(folder, question, config, train, events)
    except TrainingError as fault:
        return replace(result, failed=str(fault))
    each = step_seconds(run.reports)
    result = replace(
        result,
        each=each,
        seconds=each * trial.steps,
        loss=run.evaluation.loss,
        bits_per_byte=run.evaluation.bits_per_byte,
    )
    return result if swept else measured(result, run, question, material)


def _seen(question: Question, trial: Trial, material: Material, context: int) -> int:
    """Tokens that the steps of a trial read: of pairs those of both sides, which batches of whole epochs share."""
    if not isinstance(material.train, Pairs):
        return trial.steps * question.train.batch * context
    batches = PairBatches(material.train, tokens=question.train.batch * context, seed=trial.seed)
    return round(trial.steps * material.train.both / len(batches))


def measured(result: Result, run: Run, question: Question, material: Material) -> Result:
    """The result with what the trained model gets right."""
    network, valid = run.model.network, material.valid
    if question.pairs:
        return replace(result, translations=translations(run.model, valid))
    if question.recall is not None:
        accuracy, by_distance = recalled(network, valid)
        return replace(result, accuracy=accuracy, recalled=by_distance)
    read = valid.part(0, min(len(valid), (question.train.final_tokens or len(valid)) + 1))
    places = loss_by_place(network, read, context=run.model.config.context)
    if not question.facts:
        return replace(result, places=places)
    stories = corpora.get(question.text.corpus or "").stories(seed=HELD_OUT)
    return replace(result, places=places, facts=facts(run.model, stories, question.facts))


def _run(folder: Path, question: Question, config: ModelConfig, train: TrainConfig, events: Events) -> Run:
    started = time.perf_counter()
    if (folder / runs.RECIPE).exists():
        return runs.go_on(folder, events, started=started)
    text = {name: value for name, value in to_dict(question.text).items() if name != "fingerprint" and value != []}
    asked = Asked(settings=[{"text": text, "model": to_dict(config), "train": to_dict(train)}], out=folder)
    return runs.start(asked, events, started=started)


def step_seconds(reports: list[Report]) -> float:
    """Median seconds of a training step, between reports with no evaluation between them."""
    times = [
        (after.seconds - before.seconds) / (after.step - before.step)
        for before, after in pairwise(reports)
        if isinstance(before, Stepped) and isinstance(after, Stepped) and after.step > before.step
    ]
    if times:
        return statistics.median(times)
    steps = [each for each in reports if isinstance(each, Stepped)]  # every report is beside an evaluation
    begun = min(each.seconds for each in reports if isinstance(each, Evaluated))
    return (steps[-1].seconds - begun) / steps[-1].step
