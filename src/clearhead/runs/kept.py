"""The models that a run folder holds, from its first step to its last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel
from clearhead.runs.begin import begun, reopened
from clearhead.runs.changes import check_changes
from clearhead.runs.folder import LOG, reopen
from clearhead.training import Evaluated, best_evaluation, read_log


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """A model of a run after ``step`` steps. loss: on the validation text, in nats a token; None if not measured."""

    step: int
    loss: float | None
    model: LanguageModel


def kept(folder: Path) -> tuple[list[Kept], list[int]]:
    """The run's models in order of steps: the initial one, the one with the lowest validation loss, the last one saved.

    Also returns the steps of all other evaluations, whose models a run does not keep.
    Raises FolderError if ``folder`` is not a run folder, its recipe was changed after the last state was saved, or
    something in it is missing, truncated or altered.
    """
    recipe, state = reopen(folder)
    if state is not None:
        check_changes(folder, recipe, state, accept=False, say=lambda change: None)
    best = hub.load(folder, dtype="float32", text=True)
    reports = read_log(folder / LOG)
    losses = {report.step: report.valid_loss for report in reports if isinstance(report, Evaluated)}
    lowest = best_evaluation(reports)
    if lowest is None:
        raise FolderError(f"{folder / LOG}: there is no evaluation in it; copy the run folder again from the original")
    found = {0: begun(recipe, best.tokenizer), lowest.step: best}
    if state is not None and state.progress.step not in found:
        last = reopened(folder, recipe, best.tokenizer)
        last.network.load_state_dict(state.weights)
        found[state.progress.step] = last
    models = [Kept(step=step, loss=losses.get(step), model=found[step]) for step in sorted(found)]
    for each in models:
        each.model.network.eval()
        each.model.name = str(folder)
    return models, sorted(losses.keys() - found.keys())
