"""The models that a run keeps on its way: one file of weights for each step, beside the run's own model.

``runs/book@500`` is the model of the run in ``runs/book`` after 500 steps.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from clearhead.errors import FolderError, OptionError, shown
from clearhead.files import make_folder, refuse_link, remove_leftovers

STEPS = "steps"  # the folder in a run's folder
LISTED = 12  # steps named in an error


class Named(NamedTuple):
    """What a model's name says: a folder or a name on the hub, and the step of a run's kept model, if any."""

    name: str | Path
    step: int | None


def named(name: str | Path) -> Named:
    """The parts of a name. A folder's name may have an @ in it too. Raises OptionError if it is no text or path."""
    if not isinstance(name, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(f"model: {shown(name)} was given; give a folder or a name on the hub")
    parts = re.fullmatch(r"(?P<folder>.+)@(?P<step>[0-9]{1,18})", str(name), re.DOTALL)
    if parts is None or Path(name).is_dir() or not Path(parts["folder"]).is_dir():
        return Named(name, None)
    return Named(parts["folder"], int(parts["step"]))


def steps(folder: Path) -> list[int]:
    """The steps whose models a run keeps, in order; empty for one that keeps none, or another model's folder."""
    found = (folder / STEPS).glob("*.safetensors")
    return sorted(int(path.stem) for path in found if re.fullmatch("[0-9]{9,18}", path.stem) and path.is_file())


def file_of(folder: Path, step: int) -> Path:
    """The weights of a run's kept model. Raises FolderError, with the steps that are kept, if it is not there."""
    there = steps(folder)
    if step not in there:
        if not there:
            raise none_kept(folder, f"none of step {step:,}")
        listed = ", ".join(map(str, there[:LISTED])) + (", ..." if len(there) > LISTED else "")
        raise FolderError(f"{folder}: it keeps no model of step {step:,}; it has those of {listed}")
    return new_file(folder, step)


def none_kept(folder: Path, what: str) -> FolderError:
    """The error for a folder without kept models."""
    return FolderError(
        f"{folder}: it keeps no models of its steps, so {what}; a run keeps them if it is started with "
        "clearhead train --keep 20"
    )


def new_file(folder: Path, step: int) -> Path:
    """Where to write a kept model."""
    return folder / STEPS / f"{step:09d}.safetensors"


def make_steps(folder: Path) -> None:
    """Creates the folder of a run's kept models. Raises FolderError if it is a link."""
    refuse_link(folder / STEPS)
    make_folder(folder / STEPS)


def forget_after(folder: Path, step: int) -> None:
    """Removes kept models of later steps, and what killed processes left beside them. Raises as ``make_steps``."""
    refuse_link(folder / STEPS)
    for later in steps(folder):
        if later > step:
            new_file(folder, later).unlink()
    remove_leftovers(folder / STEPS)
