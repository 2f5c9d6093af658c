"""The models that a run folder holds, from its first step to its last."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel
from clearhead.runs.begin import begun, reopened
from clearhead.runs.changes import check_changes
from clearhead.runs.folder import LOG, reopen
from clearhead.training import Evaluated, read_log

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """A model of a run after ``step`` steps. loss: on the validation text, in nats a token; None if not measured."""

    step: int
    loss: float | None
    model: LanguageModel


def kept(folder: Path) -> tuple[list[Kept], list[int]]:
    """The run's models in order of steps, and the steps of all other evaluations, whose models a run does not keep.

    The models are the initial one, the one with the lowest validation loss, the last one saved, and those kept on the
    way (``train.keep``). If the run started from another model, its initial one is loaded from there, not from the
    folder; if that fails, the log says why and step 0 is among the other steps.
    Raises FolderError if ``folder`` is not a run folder, its recipe was changed after the last state was saved, or
    something in it is missing, truncated or altered.
    """
    recipe, state = reopen(folder)
    if state is not None:
        check_changes(folder, recipe, state, accept=False, say=lambda change: None)
    best = hub.load(folder, dtype="float32", text=True)
    losses = {report.step: report.valid_loss for report in read_log(folder / LOG) if isinstance(report, Evaluated)}
    # Not the best step of the log: a run may have been killed after it saved a model and before it logged that.
    step = hub.saved_step(folder)
    if step is None:
        raise FolderError(f"{folder / hub.WEIGHTS}: no run saved it; copy the run folder again from the original")
    found = {each: hub.load(f"{folder}@{each}", dtype="float32") for each in hub.steps(folder)} | {step: best}
    if 0 not in found:
        try:
            found[0] = begun(recipe, best.tokenizer)
        except FolderError as gone:
            log.warning("the model that the run started from is left out: %s", gone)
    if state is not None and state.progress.step not in found:
        last = reopened(folder, recipe, best.tokenizer)
        last.network.load_state_dict(state.weights)
        found[state.progress.step] = last
    models = [Kept(step=step, loss=losses.get(step), model=found[step]) for step in sorted(found)]
    for each in models:
        each.model.network.eval()
        each.model.name = str(folder)
    return models, sorted(losses.keys() - found.keys())
