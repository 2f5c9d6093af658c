"""The model of a run: with fresh weights, with those of the model it goes on from, or as it was saved last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tomli_w

from clearhead import hub, machine
from clearhead.errors import FolderError
from clearhead.files import write_text
from clearhead.language_model import LanguageModel
from clearhead.model import build, skeleton
from clearhead.plain import to_dict
from clearhead.recipes import Recipe
from clearhead.runs.folder import RECIPE
from clearhead.text import Tokenizer
from clearhead.training import check_memory


def create(folder: Path, recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """Writes the recipe into the run folder and makes the model that is trained.

    Raises MemoryNeededError when training it would not fit into memory.
    """
    check_memory(recipe.model, recipe.train)
    write_text(folder / RECIPE, tomli_w.dumps(to_dict(recipe)))
    return begun(recipe, tokenizer)


def begun(recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """A model with the weights that the run begins with, on the device, and the metadata of its origin if any."""
    if recipe.origin is None:
        return LanguageModel(build(recipe.model, seed=recipe.train.seed).to(machine.device()), tokenizer)
    origin = hub.load(recipe.origin, dtype="float32")
    if replace(recipe.model, dropout=0.0) != replace(origin.config, dropout=0.0):
        raise FolderError(f"{recipe.origin}: is not the model any more that the run began with; start a new run")
    network = skeleton(recipe.model)  # its dropout is the recipe's
    network.load_state_dict(origin.network.state_dict(), assign=True)
    return LanguageModel(network.to(machine.device()), tokenizer, metadata=origin.metadata)


def reopened(folder: Path, recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """The model of a run that goes on: its weights are still to be restored from the state.

    What stood beside the origin is read from the run's own folder: the origin may be gone by now.
    """
    network = build(recipe.model, seed=recipe.train.seed).to(machine.device())
    kept = recipe.origin is not None and (folder / hub.WEIGHTS).exists()
    return LanguageModel(network, tokenizer, metadata=hub.read_metadata(folder) if kept else None)
