"""The end of a run: the final evaluation of the saved model, and the loss curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from clearhead import hub, machine
from clearhead.errors import MissingExtraError
from clearhead.language_model import LanguageModel
from clearhead.recipes import Recipe
from clearhead.runs.curve import draw_curve
from clearhead.runs.events import Events
from clearhead.runs.folder import CURVE, LOG
from clearhead.text import Pairs, Tokens
from clearhead.training import (
    Evaluated,
    Evaluation,
    Finished,
    Log,
    Report,
    best_evaluation,
    evaluate,
    objective_of,
    read_end,
    read_log,
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Run:
    """A finished run.

    model: the one with the lowest validation loss, in float32
    reports: the steps and evaluations in log.jsonl, over all sessions
    evaluation: of that model on the validation text, or on its first ``train.final_tokens`` tokens
    """

    folder: Path
    recipe: Recipe
    model: LanguageModel
    reports: list[Report]
    evaluation: Evaluation

    def __repr__(self) -> str:
        return (
            f"Run({str(self.folder)!r}, kept at step {self.best.step:,}: {self.evaluation.loss:.4f} nats a "
            f"{self.evaluation.unit}, {self.evaluation.bits_per_byte:.4f} bits a byte)"
        )

    @property
    def best(self) -> Evaluated:
        """The evaluation with the lowest validation loss, at which the model was saved."""
        found = best_evaluation(self.reports)
        assert found is not None, "a run that has finished was evaluated"
        return found


def finish(folder: Path, recipe: Recipe, valid: Tokens | Pairs, events: Events) -> Run:
    """Loads the saved model, evaluates it, plots the loss curve if matplotlib is installed, and ends the log."""
    config = recipe.train
    read = valid if config.final_tokens is None else valid.part(0, min(len(valid), config.final_tokens + 1))
    model = _saved(folder)
    with torch.autocast(machine.device(), torch.bfloat16, enabled=config.precision == "bfloat16"):
        objective = objective_of(config.masks, model.tokenizer, pairs=recipe.text.layout != "text")
        evaluation = evaluate(model.network, read, window=config.window, objective=objective)
    run = Run(folder=folder, recipe=recipe, model=model, reports=read_log(folder / LOG), evaluation=evaluation)
    predicted = len(read) if isinstance(read, Pairs) else len(read) - 1  # the first of a text is not
    on = f"all {len(valid):,}" if len(read) == len(valid) else f"the first {predicted:,} of {len(valid):,}"
    on = on if config.masks is None else f"{evaluation.tokens:,} masked of {on}"
    events.say(
        f"kept the model of step {run.best.step:,}; on {on} validation tokens: "
        f"{evaluation.loss:.4f} nats a {evaluation.unit}, {evaluation.bits_per_byte:.4f} bits a byte"
    )
    try:
        draw_curve(run.reports, folder / CURVE)
        events.say(f"loss curve: {folder / CURVE}")
    except MissingExtraError as missing:
        events.say(f"no loss curve: {missing}")
    if math.isfinite(evaluation.nats):  # else there is nothing to show, and the next session evaluates again
        last = run.reports[-1]
        path = folder / LOG
        with Log(path, path.stat().st_size) as log:
            log.write(Finished(step=last.step, evaluation=evaluation, seconds=last.seconds))
            log.flush()
    return run


def finished(folder: Path, recipe: Recipe, step: int) -> Run | None:
    """The run in ``folder`` if it was finished after this step; None if something is still to do. Changes nothing."""
    end = read_end(folder / LOG) if (folder / LOG).exists() else None
    if end is None or end.step != step:
        return None
    reports = read_log(folder / LOG)
    return Run(folder=folder, recipe=recipe, model=_saved(folder), reports=reports, evaluation=end.evaluation)


def _saved(folder: Path) -> LanguageModel:
    return hub.load(folder, device=machine.device(), dtype="float32", text=True)
