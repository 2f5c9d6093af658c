"""Starts or resumes a run and carries it to its end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from clearhead import hub
from clearhead.runs.begin import begun, create, reopened
from clearhead.runs.changes import check_changes
from clearhead.runs.events import Events
from clearhead.runs.finish import Run, finish, finished
from clearhead.runs.folder import claimed, held, name_of, reopen, resumable
from clearhead.runs.material import keep_stdin, prepare
from clearhead.runs.measure import measured
from clearhead.runs.resolve import Asked, resolve
from clearhead.runs.steps import train_in
from clearhead.training import check_memory


def start(asked: Asked, events: Events, *, started: float) -> Run:
    """Starts a run and carries it to its end. Its minutes count from ``started``, a value of time.perf_counter().

    Raises Interrupted if stopped on request. A run that fails before saving anything leaves no folder.
    """
    request = resolve(asked)
    folder = asked.out or Path("runs") / name_of(request.text)
    with claimed(folder) as claim, resumable(folder), _threads_restored():
        keep_stdin(claim, request.text)
        material = prepare(request.text, folder, events.say, masks=request.masks, context=request.context)
        recipe = measured(request.table, material, events.say, time.perf_counter() - started)
        model = create(claim, recipe, material.tokenizer)
        after = "" if recipe.origin is None else f", as they are in {recipe.origin}"
        events.say(f"model: {recipe.model.parameters():,} weights{after}; it will be kept in {folder}")
        if recipe.train.keep is not None:
            size = recipe.train.keep * 4 * recipe.model.parameters()  # in float32
            events.say(
                f"{recipe.train.keep} models on the way will be kept in {folder / hub.STEPS}: {size / 1e6:,.1f} MB"
            )
        train_in(folder, recipe, material, model, events, state=None, used=time.perf_counter() - started)
        return finish(folder, recipe, material.valid, events)


def go_on(folder: Path, events: Events, *, started: float, accept_changes: bool = False) -> Run:
    """Resumes the run in ``folder`` from its last saved state; raises as ``start`` does. A finished one stays as it is.

    Raises FolderError if the recipe has changed since that state was saved, unless ``accept_changes``: then each change
    is reported.
    """
    with held(folder), resumable(folder), _threads_restored():
        recipe, state = reopen(folder)
        if state is not None:
            changed = check_changes(folder, recipe, state, accept=accept_changes, say=events.say)
            run = None if changed else finished(folder, recipe, state.progress.step)
            if run is not None:
                events.say(
                    f"{folder} is finished (step {state.progress.step:,}); there is nothing to do; to train it "
                    f"further: clearhead train TEXT --from {shlex.quote(str(folder))}"
                )
                return run
        masks = recipe.train.masks is not None
        material = prepare(recipe.text, folder, events.say, masks=masks, context=recipe.model.context)
        check_memory(recipe.model, recipe.train)
        begins = state is None
        model = begun(recipe, material.tokenizer) if begins else reopened(folder, recipe, material.tokenizer)
        events.say(f"continuing {folder} after step {0 if state is None else state.progress.step:,}")
        train_in(folder, recipe, material, model, events, state=state, used=time.perf_counter() - started)
        return finish(folder, recipe, material.valid, events)


@contextmanager
def _threads_restored() -> Generator[None]:
    """Restores the process's number of threads after the run has changed it."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
