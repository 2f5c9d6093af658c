"""The one dial, minutes: plans model, batch and schedule by measuring this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from clearhead import machine
from clearhead.errors import many
from clearhead.model import DecoderConfig, ModelConfig, build
from clearhead.text import Batch
from clearhead.training import compiling
from clearhead.training.config import OptimizerConfig, TrainConfig, check_time, window_of
from clearhead.training.memory import check_memory, memory_needed
from clearhead.training.objective import NEXT_TOKENS, Objective, batch_loss
from clearhead.training.optimizer import Optimizer
from clearhead.training.shapes import LADDER, shape

# Training tokens per weight, embeddings excluded. Hoffmann et al. (2022) found 20 for long runs; in runs of 1 to 5
# minutes, models with 3 to 7 ended best (docs/LOG.md).
TOKENS_PER_WEIGHT = 5.0

TRAINED = 0.88  # fraction of the time left spent on steps; the rest measures, evaluates and saves
MEASURED = 0.04  # fraction of the time left after which no larger model is tried
EVALUATIONS = 12
EVALUATING = 0.04  # fraction of the time left for all evaluations together; the final one gets as much again
EVALUATION_SPEED = 2.5  # tokens evaluated in the time it takes to train on one
CONTEXT = 256
SHORTEST = 16  # context length for the smallest texts
STEPS = 750  # the fewest to aim for; twice as many at half the batch ended 0.003 bits a byte worse (docs/LOG.md)
BATCH_TOKENS = (2048, 32768)
COMPILED = 15.0  # minutes from which compiling pays: it takes up to two, and cuts step time to 0.75 to 0.85
# Operations of a step that are worth a thread: 20 to 40 ms of work, beside which OpenMP's barriers cost little.
THREAD_WORTH = 2e9
EPOCHS = 4.0  # up to four epochs are worth nearly as much as new text (Muennighoff et al. 2023)

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A model and a training config, with a one-line reason for each part."""

    model: ModelConfig
    train: TrainConfig
    reasons: tuple[str, ...]


def plan_model(
    *,
    minutes: float,
    used: float,
    vocabulary: int,
    tokens: int,
    valid: int,
    say: Callable[[str], None],
    threads: int | None = None,
    batch: int | None = None,
    precision: Precision | None = None,
    kind: str = DecoderConfig.kind,
    objective: Objective = NEXT_TOKENS,
    adapt: Callable[[ModelConfig], ModelConfig] = lambda model: model,
) -> Plan:
    """Plans for the largest model on the ladder that can see ``TOKENS_PER_WEIGHT`` tokens per weight in the time left.

    ``used`` seconds of ``minutes`` have passed; ``tokens`` and ``valid`` are the lengths of the texts. Measuring takes
    about a twentieth of the time, and ``say`` receives each measurement. ``threads``, ``batch`` and ``precision`` are
    chosen too if None. ``kind`` is the kind of model; every kind has as many weights on each rung. ``adapt`` applies
    the user's own settings to each model tried.
    Raises OptionError if no time is left, MemoryNeededError if even the smallest model does not fit.
    """
    check_time(minutes, used)
    left = 60 * minutes - used
    context = max(SHORTEST, min(CONTEXT, (tokens - 1) // 8))
    ladder = [adapt(shape(rung, vocabulary, context, kind)) for rung in range(len(LADDER))]
    context = ladder[0].context
    measured = batch or max(1, (BATCH_TOKENS[0] if machine.device() == "cpu" else BATCH_TOKENS[1]) // context)
    if threads is None:
        threads, threads_reason = fastest_threads(ladder[0], say, objective)
    else:
        threads_reason = f"{many(threads, 'thread')}, as asked"
    torch.set_num_threads(threads)
    precisions: tuple[Precision, ...] = worth_trying() if precision is None else (precision,)
    chosen, speeds, began = 0, dict[Precision, float](), time.perf_counter()
    check_memory(ladder[0], TrainConfig(minutes=minutes, batch=measured))
    for rung, model in enumerate(ladder):
        if rung and not _fits(model, minutes, measured):
            say(f"{model.depth} of width {model.width}: needs more memory than is free")
            break
        by_precision: dict[Precision, float] = {}
        for name in precisions:
            if not by_precision or time.perf_counter() - began < MEASURED * left:
                by_precision[name] = tokens_per_second(model, measured, name, objective=objective)
        seen = max(by_precision.values())
        each = seen * TRAINED * left / model.inner_parameters()
        say(f"{model.depth} of width {model.width}: {seen:,.0f} tokens/s, {each:.1f} tokens per weight")
        if rung and each < TOKENS_PER_WEIGHT:
            break
        chosen, speeds = rung, by_precision
        if time.perf_counter() - began > MEASURED * left:
            break
    model, speed = ladder[chosen], max(speeds.values())
    shown = speed * TRAINED * left
    epochs = shown / tokens
    model = adapt(replace(model, dropout=0.1 if epochs > EPOCHS else 0.0))
    batch_tokens = min(max(shown / STEPS, BATCH_TOKENS[0]), BATCH_TOKENS[1])
    if batch is None:
        batch = max(1, min(round(batch_tokens / context), (tokens - 1) // context - 1))
        while batch > 1 and not _fits(model, minutes, batch):
            batch //= 2
    each_evaluation, final = evaluation_tokens(speed * left, EVALUATIONS, context)
    refused = _uncompiled(objective) if minutes >= COMPILED else ""
    train = TrainConfig(
        minutes=minutes,
        batch=batch,
        threads=threads,
        precision=max(speeds, key=lambda name: speeds[name]),
        compile=refused is None,
        evaluations=EVALUATIONS,
        evaluation_tokens=each_evaluation,
        final_tokens=final,
    )
    evaluated = min(valid, train.evaluation_tokens), min(valid, train.final_tokens or valid)
    again = f"the text is read {epochs:.1f} times"
    inner = model.inner_parameters()
    reasons = (
        f"{model.depth} of width {model.width}, {inner:,} weights without the embeddings: "
        f"there is time for about {float(f'{shown:.2g}'):,.0f} tokens, {shown / inner:.0f} per weight",
        f"context {context}, {many(batch, 'window')} a step: about {shown / batch / context:,.0f} steps",
        f"{again}, so it trains with dropout 0.1" if model.dropout else again,
        f"of {valid:,} validation tokens {evaluated[0]:,} are read {EVALUATIONS} times, {evaluated[1]:,} at the end",
        _why(speeds, asked=precision is not None),
        *(["compiled, which takes a minute or two"] if refused is None else []),
        *([f"not compiled: {refused}"] if refused else []),
        threads_reason,
    )
    return Plan(model=model, train=train, reasons=reasons)


def _uncompiled(objective: Objective) -> str | None:
    """Why the model is not compiled; None if it is."""
    return (
        compiling.refuses() if objective.one_shape else "sentences differ in length, and each shape would be compiled"
    )


def _fits(model: ModelConfig, minutes: float, batch: int) -> bool:
    return memory_needed(model, TrainConfig(minutes=minutes, batch=batch)) <= machine.free_memory(machine.device())


def evaluation_tokens(trained: float, evaluations: int, context: int) -> tuple[int, int]:
    """Validation tokens per evaluation and for the final one, in the time it takes to train on ``trained`` tokens."""
    readable = EVALUATING * EVALUATION_SPEED * trained
    return max(context, int(readable / evaluations)), max(context, int(readable))


def measured_evaluation_tokens(
    model: ModelConfig, config: TrainConfig, *, used: float, objective: Objective = NEXT_TOKENS
) -> tuple[int, int]:
    """``evaluation_tokens`` for a run by minutes whose model is given, from the measured time of a step."""
    check_time(config.minutes, used)
    model = replace(model, context=window_of(config, model))
    speed = tokens_per_second(model, config.batch, config.precision or "float32", repeats=1, objective=objective)
    return evaluation_tokens(speed * (60 * (config.minutes or 0.0) - used), config.evaluations, model.context)


def worth_trying() -> tuple[Precision, ...]:
    """Precisions worth measuring here. In a small model, conversions can cost more than faster products save."""
    return ("float32", "bfloat16") if machine.bfloat16_pays() else ("float32",)


def _why(speeds: Mapping[Precision, float], *, asked: bool) -> str:
    best = max(speeds, key=lambda name: speeds[name])
    if asked:
        return f"{best}, as asked"
    if len(speeds) == 1:
        return f"{best}: bfloat16 products are not much faster on this machine"
    compared = " and ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    return f"{best}, the fastest measured for this model (in tokens/s, {compared})"


def tokens_per_second(
    model: ModelConfig, batch: int, precision: str, repeats: int = 3, objective: Objective = NEXT_TOKENS
) -> float:
    """Training speed of a new model of this config on random ids, by ``step_seconds``."""
    data = random_step(model, batch, objective)
    return batch * model.context / step_seconds(model, data, precision, repeats)


def step_seconds(model: ModelConfig, data: Batch, precision: str, repeats: int) -> float:
    """Seconds of a training step of a new model of this config: the fastest of ``repeats``, after one to warm up."""
    step = stepper(model, data, precision)
    step()
    return machine.seconds(step, repeats)


def random_step(model: ModelConfig, batch: int, objective: Objective = NEXT_TOKENS) -> Batch:
    """Inputs and targets of a step on ``batch`` windows of random ids, always the same."""
    random = np.random.default_rng(0)
    return objective.trial(random.integers(model.vocabulary, size=(batch, model.context)))


def stepper(
    model: ModelConfig, data: Batch, precision: str, optimizing: OptimizerConfig | None = None
) -> Callable[[], None]:
    """A function that does one training step of a new model of this config on ``data``, for timing."""
    device = machine.device()
    network = build(model, seed=0).to(device).train()
    half: Precision = "bfloat16" if machine.bfloat16_pays() else "float32"
    optimizer = Optimizer(network, optimizing or OptimizerConfig(precision=half))

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = batch_loss(network, data)
        loss.backward()
        optimizer.step(1.0)
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def threads_by_size(model: ModelConfig, batch: int) -> tuple[int, str]:
    """The number of OpenMP threads for a run by steps, and the reason: one for each THREAD_WORTH of a step.

    It depends on nothing measured, as the number of threads can change the bits of sums.
    """
    operations = 6 * model.inner_parameters() * batch * model.context
    count = min(machine.thread_limit(), max(1, round(operations / THREAD_WORTH)))
    return count, f"{many(count, 'thread')}, for {operations / 1e9:.2g} billion operations a step"


def fastest_threads(
    model: ModelConfig, say: Callable[[str], None], objective: Objective = NEXT_TOKENS, data: Batch | None = None
) -> tuple[int, str]:
    """Measures which number of OpenMP threads trains ``model`` fastest; returns it with the reason.

    data: inputs and targets of a step; None: random ids
    It has to be measured: on a shared machine, OpenMP's barriers can make two threads far slower than one.
    """
    most = machine.thread_limit()
    counts = sorted({1, most, *(2**power for power in range(1, 8) if 2**power < most)})
    if most == 1:
        return 1, "1 thread, since there is one core or OMP_NUM_THREADS is 1"
    before = torch.get_num_threads()
    data = data or random_step(model, max(1, BATCH_TOKENS[0] // model.context), objective)
    step = stepper(model, data, "float32")
    step()
    times: dict[int, float] = {}
    for count in counts:
        torch.set_num_threads(count)
        first = machine.seconds(step, 1)
        # Three times slower than the best at the first try: not worth measuring well.
        hopeless = bool(times) and first > 3 * min(times.values())
        times[count] = first if hopeless else machine.median_seconds(step, 5)
        say(f"{many(count, 'thread')}: {times[count] * 1e3:.1f} ms a step")
    torch.set_num_threads(before)
    best = min(times, key=lambda count: times[count])
    compared = ", ".join(f"{count}: {seconds * 1e3:.1f} ms" for count, seconds in times.items())
    return best, f"{many(best, 'thread')}, the fastest measured for one step ({compared})"
