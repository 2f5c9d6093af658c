"""The training loop: step, report, evaluate, save; ends by steps or by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clearhead.errors import OptionError, TrainingError
from clearhead.model import Network, needs
from clearhead.training.averaging import Averaging
from clearhead.training.checkpoint import Progress, TrainingState, random_states, restore_random_states, save_state
from clearhead.training.compiling import compiled
from clearhead.training.config import TrainConfig, check_time, learning_rate, window_of
from clearhead.training.evaluating import evaluate
from clearhead.training.objective import NEXT_TOKENS, Evaluation, Objective, batch_loss
from clearhead.training.optimizer import Optimizer, unlike
from clearhead.training.report import Evaluated, Log, Report, Sample, Stepped

# Step reports logged over a whole run.
LOGGED = 400


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Callbacks for what the loop leaves to its caller: saving the model, sampling, display, stopping."""

    report: Callable[[Report], None]
    keep: Callable[[int], None]  # saves the model after this step; called when the validation loss is the lowest so far
    keep_step: Callable[[int], None]  # saves the model after this step too, in its own place; called train.keep times
    sample: Callable[[], Sample]  # what to show at each evaluation
    stop: Callable[[], bool]  # True saves the state and stops after the current step


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Where training ended, and whether it finished."""

    progress: Progress
    finished: bool  # False if stopped on request; the run can be resumed


class Clock:
    """The fraction of a run that is done, by steps or by the clock."""

    def __init__(self, config: TrainConfig, used: float, begun: float, reserve: float) -> None:
        self._config = config
        self._start = time.perf_counter() - used
        self._furthest = 0.0
        self.begun = begun  # seconds used before the first step
        self.reserve = reserve  # seconds kept for the work after the last step

    def seconds(self) -> float:
        """Seconds used since the start, over all sessions."""
        return time.perf_counter() - self._start

    def done(self, step: int) -> float:
        """From 0 at the start to 1 at the end. Never decreases, even when the reserve shrinks."""
        if self._config.steps is not None:
            return min(1.0, step / self._config.steps)
        given = 60.0 * (self._config.minutes or 0.0) - self.reserve
        left = given - self.begun
        self._furthest = max(self._furthest, min(1.0, (self.seconds() - self.begun) / left) if left > 0 else 1.0)
        return self._furthest


def fit(
    model: Network,
    config: TrainConfig,
    train: Any,
    valid: Any,
    *,
    folder: Path,
    hooks: Hooks,
    objective: Objective = NEXT_TOKENS,
    state: TrainingState | None = None,
    used: float = 0.0,
    settings: Mapping[str, Any] | None = None,
) -> FitResult:
    """Trains ``model`` in place, from scratch or from ``state``. ``used`` seconds passed before the call.

    ``train`` and ``valid`` are what the objective reads: ``Tokens``, or ``Pairs`` for translation. The state keeps
    ``settings``, so that a changed recipe is noticed.

    Writes the state to ``folder/state`` and the log to ``folder/log.jsonl``. With the same steps, seed, threads and
    machine, a run that is killed and resumed ends with the same bits as one that is not.
    Raises TrainingError if the loss is not finite (the last saved state stays) or the state belongs to another model,
    TextError if a text is too short, ConfigError if the model cannot be compiled as asked, and OptionError if no time
    is left for the first step.
    """
    needs(model, objective.ability, "training here")
    progress = Progress() if state is None else state.progress
    clock = Clock(config, used + progress.seconds, progress.begun, progress.reserve)
    context = window_of(config, model.config)
    windows = objective.windows(train, context=context, batch=config.batch, seed=config.seed)
    part = valid.part(0, min(len(valid), config.evaluation_tokens + 1))
    objective.check(part)
    optimizer, averaging = Optimizer(model, config.optimizer), Averaging(model, config)
    device = model.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    run = compiled(model, objective.batch(windows.at(0), 0), autocast) if config.compile else model
    if state is None:
        torch.manual_seed(config.seed)
    else:
        _restore(model, optimizer, state)
        averaging.restore(state.average)
    step_tokens = config.batch * context

    def checked(data: Any) -> Evaluation:
        """Raises TrainingError if the loss is not finite, so that useless weights are never saved."""
        with autocast:
            found = evaluate(model, data, window=config.window, objective=objective)
        _check_finite(found.loss, "validation loss", progress.step, folder)
        return found

    saving = keeping = 0.0  # seconds it took to save the last state, and to keep a model; several for a large model

    def save() -> None:
        nonlocal progress, saving
        began = clock.seconds()
        progress = replace(
            progress, seconds=clock.seconds(), begun=clock.begun, reserve=clock.reserve, log_bytes=log.flush()
        )
        whole = TrainingState(
            progress=progress,
            weights=model.state_dict(),
            optimizer=optimizer.state(),
            random=random_states(),
            average=averaging.state(),
            settings=settings or {},
        )
        save_state(folder / "state", whole)
        saving = clock.seconds() - began

    def keep_model() -> None:
        nonlocal keeping
        began = clock.seconds()
        with averaging.applied():
            checked(part.part(0, min(len(part), step_tokens + 1)))
            hooks.keep_step(progress.step)
        keeping = clock.seconds() - began

    def evaluate_and_save() -> None:
        nonlocal progress
        began = clock.seconds()
        with averaging.applied():
            found = checked(part)
            evaluating = clock.seconds() - began
            best = found.loss < progress.best_loss
            if best:
                progress = replace(progress, best_loss=found.loss, best_step=progress.step)
                hooks.keep(progress.step)
            sample = hooks.sample()
        averaging.evaluated()
        report = Evaluated(
            step=progress.step,
            valid_loss=found.loss,
            bits_per_byte=found.bits_per_byte,
            unit=found.unit,
            best=best,
            seconds=clock.seconds(),
            sample=sample.text,
            bleu=sample.bleu,
            chrf=sample.chrf,
        )
        log.write(report)
        # After the last step there is one more evaluation, and the caller evaluates on the final tokens.
        clock.reserve = (
            clock.seconds()
            - began
            + saving
            + keeping
            + evaluating * min(len(valid), config.final_tokens or len(valid)) / len(part)
        )
        save()
        hooks.report(report)  # after saving, so the state is safe even if reporting fails

    with Log(folder / "log.jsonl", progress.log_bytes) as log:
        model.train()
        if state is None:
            check_time(config.minutes, clock.seconds())
        # From here on a new run can be resumed, whatever stops it; a resumed one drops what a kill left behind.
        save()
        if progress.step == 0:
            evaluate_and_save()
            if config.keep is not None:
                keep_model()
            clock.begun = clock.seconds()
            if clock.done(0) >= 1:
                raise OptionError(
                    f"minutes {config.minutes:g}: {clock.begun:.0f} seconds were used before the first step, and the "
                    f"last evaluation needs about {clock.reserve:.0f}; give more, or evaluate on less "
                    "(--set train.final_tokens=... and train.evaluation_tokens=...)"
                )
        done = clock.done(progress.step)
        while done < 1:
            rate = learning_rate(config, done)
            with autocast:
                batch = objective.batch(windows.at(progress.step), progress.step)
                loss = batch_loss(model, batch, run=run, smoothing=config.label_smoothing)
            value = float(loss.detach())
            _check_finite(value, "loss", progress.step + 1, folder)
            loss.backward()
            optimizer.step(rate)
            averaging.stepped()
            progress = replace(
                progress,
                step=progress.step + 1,
                loss_sum=progress.loss_sum + value,
                loss_steps=progress.loss_steps + 1,
            )
            before, done = done, clock.done(progress.step)
            report = Stepped(
                step=progress.step,
                loss=value,
                rate=rate * config.optimizer.peak,
                used=done,
                tokens=progress.step * step_tokens,
                seconds=clock.seconds(),
            )
            hooks.report(report)
            if _passed(before, done, LOGGED):
                log.write(replace(report, loss=progress.loss_sum / progress.loss_steps))
                progress = replace(progress, loss_sum=0.0, loss_steps=0)
            # Before the state is saved: a run that is killed in between keeps the model again.
            if config.keep is not None and _passed(before, done, config.keep - 1):
                keep_model()
            if _passed(before, done, config.evaluations):
                evaluate_and_save()
            if done < 1 and hooks.stop():
                checked(part.part(0, min(len(part), step_tokens + 1)))
                save()
                return FitResult(progress=progress, finished=False)
        return FitResult(progress=progress, finished=True)


def _passed(before: float, done: float, parts: int) -> bool:
    """Whether a step from one fraction of a run to the next reached the end of one of its equal parts."""
    rounding = 1e-9  # 13 / 23 * 23 is below 13
    return int(done * parts + rounding) > int(before * parts + rounding)


def _check_finite(loss: float, what: str, step: int, folder: Path) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"step {step}: the {what} is {loss}, so the run stopped; its last good state is kept in "
            f"{folder / 'state'}; start again with a lower learning rate "
            "(--set train.optimizer.lr=... and train.optimizer.adamw_lr=...)"
        )


def _restore(model: Network, optimizer: Optimizer, state: TrainingState) -> None:
    if differing := unlike(model.state_dict(), state.weights):
        raise TrainingError(f"the saved weights do not fit the recipe's model: {', '.join(differing[:5])} differ")
    model.load_state_dict(state.weights)
    optimizer.restore(state.optimizer)
    restore_random_states(state.random)
