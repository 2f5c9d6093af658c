"""Training an existing model further: starting settings, and the same dial of minutes for this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from clearhead import machine
from clearhead.errors import many
from clearhead.model import ModelConfig
from clearhead.training.budget import (
    BATCH_TOKENS,
    CONTEXT,
    EVALUATIONS,
    SHORTEST,
    TRAINED,
    Plan,
    Precision,
    evaluation_tokens,
    random_step,
    stepper,
)
from clearhead.training.config import OptimizerConfig, TrainConfig, check_time
from clearhead.training.objective import NEXT_TOKENS, Objective

# AdamW's peak learning rate times the width: 6.5e-5 for GPT-2's 768, near transformers' default of 5e-5, scaled by
# 1 / width (Yang et al. 2022). Muon would undo more of what AdamW had learned.
RATE_TIMES_WIDTH = 0.05
STEPS = 300  # the fewest to aim for; released models are large, and time is short
BATCH = 8
# Each evaluation saves the weights twice and AdamW's two moments: 16 bytes a weight, checksummed, at about 200 MB/s.
# All evaluations together may spend this fraction of the time saving.
SAVED_A_SECOND, SAVING = 2e8, 0.1


def beginning(model: ModelConfig, tokens: int | None = None) -> TrainConfig:
    """Starting settings for training a model further on ``tokens`` tokens of text; measurements replace them."""
    longest = 4 * CONTEXT if machine.device() == "cuda" else CONTEXT
    fitting = longest if tokens is None else max(SHORTEST, (tokens - 1) // 8)
    return TrainConfig(
        steps=1,
        batch=BATCH,
        window=min(model.context, longest, fitting),
        optimizer=OptimizerConfig(kind="adamw", adamw_lr=float(f"{RATE_TIMES_WIDTH / model.width:.2g}")),
        warmup=0.05,
        decay=0.95,
    )


def plan_further(
    model: ModelConfig,
    *,
    minutes: float,
    used: float,
    window: int,
    tokens: int,
    valid: int,
    say: Callable[[str], None],
    threads: int | None = None,
    batch: int | None = None,
    precision: Precision | None = None,
    objective: Objective = NEXT_TOKENS,
) -> Plan:
    """Plans batch, threads and evaluations for training a model of this config further.

    Arguments and errors as in ``budget.plan_model``. It times a step on one window of a new model of this config.
    """
    check_time(minutes, used)
    left = 60 * minutes - used
    precision = precision or ("bfloat16" if machine.bfloat16_pays() else "float32")
    times = _times(replace(model, context=window), precision, threads, objective, say)
    threads = min(times, key=lambda count: times[count])
    speed = window / times[threads]
    shown = speed * TRAINED * left
    fitting = min(max(1, round(shown / STEPS / window)), BATCH_TOKENS[1] // window, max(1, (tokens - 1) // window - 1))
    evaluations = min(EVALUATIONS, max(1, int(SAVING * left * SAVED_A_SECOND / (16 * model.parameters()))))
    each_evaluation, final = evaluation_tokens(speed * left, evaluations, window)
    train = replace(
        beginning(model),
        steps=None,
        minutes=minutes,
        batch=batch or max(1, fitting),
        window=window,
        threads=threads,
        precision=precision,
        evaluations=evaluations,
        evaluation_tokens=each_evaluation,
        final_tokens=final,
    )
    evaluated = min(valid, train.evaluation_tokens), min(valid, train.final_tokens or valid)
    compared = ", ".join(f"{count}: {1e3 * seconds:.0f} ms" for count, seconds in times.items())
    reasons = (
        f"{speed:,.0f} tokens/s: there is time for about {shown:,.0f} tokens, {shown / tokens:.1f} epochs",
        f"windows of {window} tokens, {train.batch} a step: about {shown / train.batch / window:,.0f} steps",
        f"AdamW with a learning rate of {train.optimizer.adamw_lr:g}, set by the model's width of {model.width}",
        f"of {valid:,} validation tokens {evaluated[0]:,} are read {many(evaluations, 'time')}, "
        f"{evaluated[1]:,} at the end",
        f"{precision}, {many(threads, 'thread')}, the fastest measured for one window ({compared})",
    )
    return Plan(model=model, train=train, reasons=reasons)


def _times(
    model: ModelConfig, precision: str, threads: int | None, objective: Objective, say: Callable[[str], None]
) -> dict[int, float]:
    """Seconds a step on one window takes, by number of threads."""
    step = stepper(model, random_step(model, 1, objective), precision, beginning(model).optimizer)
    times: dict[int, float] = {}
    before = torch.get_num_threads()
    for count in sorted({1, machine.thread_limit()}) if threads is None else [threads]:
        torch.set_num_threads(count)
        step()
        times[count] = machine.seconds(step, 2)
        say(f"{many(count, 'thread')}: {1e3 * times[count]:.0f} ms a window of {model.context} tokens")
    torch.set_num_threads(before)
    return times
