"""Checks the recipe of a run to resume against the one its state was saved with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from clearhead.errors import ConfigError, FolderError, shown
from clearhead.plain import to_dict
from clearhead.recipes import Recipe, resolved
from clearhead.runs.folder import RECIPE, STATE
from clearhead.training import TrainingState

NAMED = 5  # changes listed in an error


def check_changes(
    folder: Path, recipe: Recipe, state: TrainingState, *, accept: bool, say: Callable[[str], None]
) -> bool:
    """Raises FolderError naming the entries of the recipe that differ from the state's; reports them if accepted.

    Returns whether there are any. Raises FolderError too if the state is of a step that its own recipe never reaches.
    """
    try:
        before = resolved(state.settings)
    except ConfigError as fault:
        raise FolderError(
            f"{folder}: the saved state is from another version: in its recipe, {fault}; start a new run"
        ) from None
    step, steps = state.progress.step, before.train.steps
    if steps is not None and step > steps:  # a run by minutes may have any number
        raise FolderError(
            f"{folder / STATE}: altered: the state is of step {step:,}, and its run has {steps:,} steps; copy "
            "the folder again from the original, or start a new run"
        )
    changed = [
        f"{name} was {_value(old)} and is now {_value(new)}"
        for name, old, new in differing(to_dict(before), to_dict(recipe))
    ]
    if not changed:
        return False
    if not accept:
        more = f" (and {len(changed) - NAMED} more)" if len(changed) > NAMED else ""
        raise FolderError(
            f"{folder / RECIPE}: has changed since the last state was saved: {'; '.join(changed[:NAMED])}{more}; a run "
            "resumes with its own settings: change them back, or accept the changes with --accept-changes (from Python "
            "accept_changes=True)"
        )
    for change in changed:
        say(f"changed: {change}")
    return True


def differing(before: Mapping[str, Any], after: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The entries in which nested tables differ: full name and both values, None for a missing one."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differing(cast(Mapping[str, Any], old), cast(Mapping[str, Any], new), f"{where}{name}.")
        elif old != new:
            yield f"{where}{name}", old, new


def _value(value: Any) -> str:
    return "left out" if value is None else shown(value)
