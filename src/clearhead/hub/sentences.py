"""The files of sentence-transformers: how a model's hidden states become sentence vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

from clearhead.errors import ConfigError, FolderError, shown, unread
from clearhead.files import make_folder, refuse_link, write_text
from clearhead.hub.families.entries import entry
from clearhead.hub.jsonfile import content, read_table
from clearhead.model.parts.pooling import Pooling

MODULES = "modules.json"
POOLING = "1_Pooling/config.json"
LENGTH = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"
FILES = (MODULES, POOLING, LENGTH, PROMPTS)
MODES = {
    "mean": "pooling_mode_mean_tokens",
    "mean-root": "pooling_mode_mean_sqrt_len_tokens",
    "max": "pooling_mode_max_tokens",
    "first": "pooling_mode_cls_token",
    "last": "pooling_mode_lasttoken",
}
STEPS = ["Transformer", "Pooling", "Normalize"]  # the last is optional
PREFIX = "sentence_transformers.models."


class StepError(FolderError):
    """A step to sentence vectors that is not supported; the model itself can be used."""


def read_pooling(folder: Path) -> Pooling | None:
    """The pooling of a folder; None if it has no modules.json.

    Raises FolderError for damaged files, StepError for steps that are not supported and would change the vectors.
    """
    if not (folder / MODULES).exists():
        return None
    _check_prompt(folder / PROMPTS)
    steps = _steps(folder / MODULES)
    names = [str(step.get("type", "")).rpartition(".")[2] for step in steps]
    if names not in (STEPS, STEPS[:2]):
        unknown = [name for name in names if name not in STEPS] or names  # all known, but in another order
        raise StepError(
            f"{folder / MODULES}: not supported: {', '.join(unknown) or 'no steps'}; the steps must be Transformer, "
            "Pooling and, optionally, Normalize, in this order"
        )
    place = steps[1].get("path")
    # Checked by name: in the hub's cache the file itself is a link to another folder.
    if not isinstance(place, str) or not re.fullmatch(r"[\w-][\w.-]*", place):
        raise FolderError(f"{folder / MODULES}: altered: {shown(place)} is not a folder in it; copy it again")
    path = folder / place / "config.json"
    settings = read_table(path)
    given = [name for name, value in settings.items() if name.startswith("pooling_mode") and value is True]
    named = settings.get("pooling_mode")  # version 5 writes this one entry instead of one per mode
    short = {**MODES, "mean": "mean", "mean-root": "mean_sqrt_len_tokens", "max": "max", "first": "cls"}
    known = MODES if named is None else {**short, "last": "lasttoken"}
    found = [our for our, their in known.items() if [their] == (given if named is None else [named])]
    if not found:
        raise StepError(f"{path}: {shown(named or given)} is not supported; choose one of {', '.join(known.values())}")
    try:
        return Pooling(kind=found[0], normalised=len(names) == 3, context=_context(folder / LENGTH))
    except ConfigError as error:
        raise FolderError(f"{folder / LENGTH}: {error}") from None


def write_pooling(folder: Path, pooling: Pooling, width: int) -> None:
    """Writes the files that make sentence-transformers give the same vectors for this folder."""
    places = {"Transformer": "", "Pooling": "1_Pooling", **({"Normalize": "2_Normalize"} if pooling.normalised else {})}
    modules = [
        {"idx": number, "name": str(number), "path": place, "type": PREFIX + name}
        for number, (name, place) in enumerate(places.items())
    ]
    modes = {their: our == pooling.kind for our, their in MODES.items()}
    contents: dict[str, Any] = {
        MODULES: modules,
        POOLING: {"word_embedding_dimension": width, **modes},
        LENGTH: {"max_seq_length": pooling.context, "do_lower_case": False},
    }
    for name, values in contents.items():
        if (folder / name).parent != folder:
            refuse_link((folder / name).parent)
            make_folder((folder / name).parent)
        write_text(folder / name, json.dumps(values, indent=2) + "\n")


def _check_prompt(path: Path) -> None:
    """Raises StepError if a prompt goes in front of every text by default, FolderError for a damaged file."""
    settings = read_table(path) if path.exists() else {}
    try:
        name = entry(settings, "default_prompt_name", str | None, None)
        prompts = entry(settings, "prompts", dict | None, None) or {}
    except ConfigError as error:
        raise FolderError(f"{path}: {error}") from None
    if name is not None and prompts.get(name) != "":
        raise StepError(
            f"{path}: default_prompt_name {shown(name)} is not supported; put {shown(prompts.get(name))} before your "
            "texts, and set it to null"
        )


def _steps(path: Path) -> list[dict[str, Any]]:
    try:
        steps = json.loads(content(path).decode())
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{path}: truncated or altered: {unread(error)}; copy it again") from None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in cast(list[Any], steps)):
        raise FolderError(f"{path}: altered: not a list of steps; copy it again")
    return cast(list[dict[str, Any]], steps)


def _context(path: Path) -> int | None:
    if not path.exists():
        return None
    settings = read_table(path)
    if settings.get("do_lower_case"):
        raise StepError(f"{path}: do_lower_case is not supported; lower-case your texts, and set it to false")
    return entry(settings, "max_seq_length", int | None, None)
