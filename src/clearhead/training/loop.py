"""The training loop: step, report, evaluate, save; ends by steps or by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from clearhead.errors import OptionError, TextError, TrainingError
from clearhead.model import Network, needs
from clearhead.text import Tokens, Windows, sequential
from clearhead.training.checkpoint import Progress, State, random_states, restore_random_states, save_state
from clearhead.training.compiling import compiled
from clearhead.training.config import TrainConfig, check_time, learning_rate, window_of
from clearhead.training.objective import Score, evaluate, next_token_loss
from clearhead.training.optimizer import Optimizer, unlike
from clearhead.training.report import Evaluated, Log, Report, Stepped

# Tokens evaluated at a time, and the longest window: the hidden layers of a batch are what takes memory.
EVALUATED_AT_ONCE = 4096

# Lines of step reports in the log of a whole run.
LOGGED = 400


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the caller joins to the loop: it knows tokenizers, folders and terminals."""

    report: Callable[[Report], None]
    keep: Callable[[], None]  # called when the validation loss is the lowest so far: save the model
    sample: Callable[[], str]  # a text to show at each evaluation
    stop: Callable[[], bool]  # True: save and stop after the current step


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a session of training ended."""

    progress: Progress
    finished: bool  # False: stopped on request, to be resumed


class Clock:
    """Which part of a run is behind: steps made of steps given, or seconds used of seconds given."""

    def __init__(self, config: TrainConfig, used: float, begun: float, reserve: float) -> None:
        self._config = config
        self._start = time.perf_counter() - used
        self._furthest = 0.0
        self.begun = begun  # seconds used before the first step
        self.reserve = reserve  # seconds kept for what comes after the last step

    def seconds(self) -> float:
        """Used since the start, all sessions together."""
        return time.perf_counter() - self._start

    def behind(self, step: int) -> float:
        """0 at the start, 1 at the end; it never falls, also when the reserve grows smaller."""
        if self._config.steps is not None:
            return min(1.0, step / self._config.steps)
        given = 60.0 * (self._config.minutes or 0.0) - self.reserve
        left = given - self.begun
        self._furthest = max(self._furthest, min(1.0, (self.seconds() - self.begun) / left) if left > 0 else 1.0)
        return self._furthest


def fit(
    model: Network,
    config: TrainConfig,
    train: Tokens,
    valid: Tokens,
    *,
    folder: Path,
    hooks: Hooks,
    state: State | None = None,
    used: float = 0.0,
) -> Outcome:
    """Trains ``model`` in place from the start, or on from ``state``; ``used`` seconds were spent before the call.

    The state goes to ``folder/state``, the log to ``folder/log.jsonl``. With the same steps, seed, threads and
    machine, a run that was killed and resumed ends with the bits of one that never was.
    Raises TrainingError when the loss is not finite (the last saved state is kept) or the state is another model's,
    TextError for texts that are too short, ConfigError when the model is to be compiled and cannot be, OptionError when
    the time is over before the first step.
    """
    needs(model, "next tokens", "training here")
    progress = Progress() if state is None else state.progress
    clock = Clock(config, used + progress.seconds, progress.begun, progress.reserve)
    context = window_of(config, model.config)
    windows = Windows(train, context=context, batch=config.batch, seed=config.seed)
    part = valid.part(0, min(len(valid), config.evaluation_tokens + 1))
    _check_measurable(part)
    optimizer = Optimizer(model, config.optimizer)
    device = model.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    run = compiled(model, windows.at(0), autocast) if config.compile else model
    if state is None:
        torch.manual_seed(config.seed)
    else:
        _restore(model, optimizer, state)
    step_tokens = config.batch * context

    def score(tokens: Tokens) -> Score:
        """Raises TrainingError when the loss is not finite: weights that are of no use are not saved."""
        with autocast:
            found = score_of(model, tokens, window=config.window)
        _check_finite(found.loss, "validation loss", progress.step, folder)
        return found

    saving = 0.0  # seconds, of the last state: some for a large model

    def save() -> None:
        nonlocal progress, saving
        began = clock.seconds()
        progress = replace(
            progress, seconds=clock.seconds(), begun=clock.begun, reserve=clock.reserve, log_bytes=log.flush()
        )
        whole = State(
            progress=progress, weights=model.state_dict(), optimizer=optimizer.state(), random=random_states()
        )
        save_state(folder / "state", whole)
        saving = clock.seconds() - began

    def look() -> None:
        nonlocal progress
        began = clock.seconds()
        found = score(part)
        scored = clock.seconds() - began
        best = found.loss < progress.best_loss
        if best:
            progress = replace(progress, best_loss=found.loss, best_step=progress.step)
            hooks.keep()
        report = Evaluated(
            step=progress.step,
            valid_loss=found.loss,
            bits_per_byte=found.bits_per_byte,
            best=best,
            seconds=clock.seconds(),
            sample=hooks.sample(),
        )
        log.write(report)
        # After the last step comes one more look, and the caller reads the final tokens.
        clock.reserve = (
            clock.seconds() - began + saving + scored * min(len(valid), config.final_tokens or len(valid)) / len(part)
        )
        save()
        hooks.report(report)  # after saving: what was told is not lost, also where nobody can be told any more

    with Log(folder / "log.jsonl", progress.log_bytes) as log:
        model.train()
        if state is None:
            check_time(config.minutes, clock.seconds())
        # A fresh run can be resumed from here on, whatever stops it; of a resumed one, what a kill left is removed.
        save()
        if progress.step == 0:
            look()
            clock.begun = clock.seconds()
            if clock.behind(0) >= 1:
                raise OptionError(
                    f"minutes {config.minutes:g}: {clock.begun:.0f} seconds were used before the first step, and the "
                    f"last evaluation needs about {clock.reserve:.0f}; give more, or evaluate on less "
                    "(--set train.final_tokens=... and train.evaluation_tokens=...)"
                )
        behind = clock.behind(progress.step)
        while behind < 1:
            rate = learning_rate(config, behind)
            with autocast:
                loss = next_token_loss(model, windows.at(progress.step), run=run)
            value = float(loss.detach())
            _check_finite(value, "loss", progress.step + 1, folder)
            loss.backward()
            optimizer.step(rate)
            progress = replace(
                progress,
                step=progress.step + 1,
                loss_sum=progress.loss_sum + value,
                loss_steps=progress.loss_steps + 1,
            )
            before, behind = behind, clock.behind(progress.step)
            report = Stepped(
                step=progress.step,
                loss=value,
                rate=rate * config.optimizer.peak,
                used=behind,
                tokens=progress.step * step_tokens,
                seconds=clock.seconds(),
            )
            hooks.report(report)
            if int(behind * LOGGED) > int(before * LOGGED):
                log.write(replace(report, loss=progress.loss_sum / progress.loss_steps))
                progress = replace(progress, loss_sum=0.0, loss_steps=0)
            if int(behind * config.evaluations) > int(before * config.evaluations):
                look()
            if behind < 1 and hooks.stop():
                score(part.part(0, min(len(part), step_tokens + 1)))
                save()
                return Outcome(progress=progress, finished=False)
        return Outcome(progress=progress, finished=True)


def score_of(model: Network, tokens: Tokens, *, window: int | None = None, stride: int | None = None) -> Score:
    """The model's score over a text in windows of its context (at most EVALUATED_AT_ONCE), or as given.

    Raises TextError for a text that cannot be scored, OptionError for a window or stride that cannot be.
    """
    needs(model, "next tokens", "a score by next tokens")
    _check_measurable(tokens)
    context = min(model.config.context, EVALUATED_AT_ONCE) if window is None else window
    if not 1 <= context <= model.config.context:
        raise OptionError(f"window {context}: must be 1 or more, and at most the model's {model.config.context} tokens")
    batches = sequential(tokens, context=context, batch=max(1, EVALUATED_AT_ONCE // context), stride=stride)
    return evaluate(model, batches, tokens.text_bytes(1))


def _check_measurable(tokens: Tokens) -> None:
    if len(tokens) < 2 or not tokens.text_bytes(1):
        raise TextError(
            f"the text to measure on has {len(tokens)} token(s), of which the first is not predicted and separators "
            "are no text; give more, or name another with --valid"
        )


def _check_finite(loss: float, what: str, step: int, folder: Path) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"step {step}: the {what} is {loss}, so the run stopped; its last good state is kept in "
            f"{folder / 'state'}; start again with a lower learning rate "
            "(--set train.optimizer.lr=... and train.optimizer.adamw_lr=...)"
        )


def _restore(model: Network, optimizer: Optimizer, state: State) -> None:
    if differing := unlike(model.state_dict(), state.weights):
        raise TrainingError(f"the saved weights are not of the recipe's model: {', '.join(differing[:5])} differ")
    model.load_state_dict(state.weights)
    optimizer.restore(state.optimizer)
    restore_random_states(state.random)
