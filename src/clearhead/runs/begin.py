"""The model of a run: newly initialised, loaded from the model it starts from, or rebuilt to resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tomli_w

from clearhead import hub, machine
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel
from clearhead.model import build, skeleton
from clearhead.plain import to_dict
from clearhead.recipes import Recipe
from clearhead.runs.folder import RECIPE, Claim
from clearhead.text import Tokenizer
from clearhead.training import check_memory


def create(claim: Claim, recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """Writes the recipe into the run folder and returns the model to train.

    Raises MemoryNeededError if training would not fit in memory.
    """
    check_memory(recipe.model, recipe.train)
    with claim.writing(RECIPE) as file:
        file.write(tomli_w.dumps(to_dict(recipe)).encode())
    claim.make()
    return begun(recipe, tokenizer)


def begun(recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """The model a run starts with, on the device, with its origin's metadata if it has one."""
    target = recipe.text.target_language
    if recipe.origin is None:
        network = build(recipe.model, seed=recipe.train.seed).to(machine.device())
        return LanguageModel(network, tokenizer).with_languages(target=target)
    origin = hub.load(recipe.origin, dtype="float32")
    if replace(recipe.model, dropout=0.0) != replace(origin.config, dropout=0.0):
        raise FolderError(f"{recipe.origin}: the model has changed since the run began; start a new run")
    network = skeleton(recipe.model)  # with the recipe's dropout
    network.load_state_dict(origin.network.state_dict(), assign=True)
    made = LanguageModel(network.to(machine.device()), tokenizer, metadata=origin.metadata)
    return made.with_languages(target=target)


def reopened(folder: Path, recipe: Recipe, tokenizer: Tokenizer) -> LanguageModel:
    """The model of a run to resume. Its weights are not restored yet.

    The metadata comes from the run's own folder, since the origin may be gone.
    """
    network = build(recipe.model, seed=recipe.train.seed).to(machine.device())
    kept = recipe.origin is not None and (folder / hub.WEIGHTS).exists()
    return LanguageModel(network, tokenizer, metadata=hub.read_metadata(folder) if kept else None)
