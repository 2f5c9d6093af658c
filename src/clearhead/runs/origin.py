"""Runs that start from an existing model, which fixes their shape and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clearhead import hub, recipes
from clearhead.errors import OptionError, shown
from clearhead.language_model import no_tokenizer
from clearhead.model import ModelConfig, needs
from clearhead.plain import checked, to_dict
from clearhead.recipes import Table
from clearhead.training import MaskedTokens, default_masks
from clearhead.training.further import beginning
from clearhead.training.masked_tokens import no_mask

OWN_TOKENIZER = ("tokenizer", "vocabulary")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The model a run starts from. name: as recorded in the recipe; for a name on the hub, with its commit."""

    name: str
    folder: Path
    config: ModelConfig


def find(tables: Sequence[Table], name: str | None, *, masked: bool = False) -> Origin | None:
    """Finds the origin named by ``name`` or in a table, downloading it if needed; None for a run from scratch.

    Raises FolderError if there is no such model, TextError if it has no tokenizer, OptionError if it predicts neither
    next nor masked tokens (not masked ones, with ``masked``), or its tokenizer has no mask token to predict with.
    """
    name = checked(str | None, name or recipes.joined(tables).get("origin"), "origin")
    if name is None:
        return None
    folder = hub.find(name, text=True)
    model = hub.outline(folder)  # the weights decide which heads there are
    if not model.has_tokenizer:
        raise no_tokenizer(name)
    config = model.config
    if masked:
        needs(config, MaskedTokens.ability, "train --masked --from")
    if default_masks(config, None, "train --from") is not None and model.tokenizer.role("mask") is None:
        raise OptionError(no_mask(f"--from {name}"))
    return Origin(name=hub.pinned(name, folder), folder=folder, config=config)


def laid_under(origin: Origin, tables: Sequence[Table]) -> list[Table]:
    """The tables over default settings for further training, and under the model's own shape and tokenizer.

    Raises OptionError for a setting that contradicts the model.
    """
    given = recipes.joined(tables)
    for where, value, own in _other(given.get("model", {}), to_dict(origin.config), "model."):
        raise OptionError(
            f"--from {origin.name}: {where} = {shown(value)} was set, but the model has {shown(own)}, which cannot "
            "change; leave it out"
        )
    for name in OWN_TOKENIZER:
        value = given.get("text", {}).get(name)
        if value not in (None, str(origin.folder.resolve())):
            raise OptionError(
                f"--from {origin.name}: {name} {shown(value)} was given, but the model keeps its own tokenizer; "
                "leave it out"
            )
    first = to_dict(beginning(origin.config))
    train = {name: first[name] for name in ("optimizer", "warmup", "decay")}
    own: Table = {
        "origin": origin.name,
        "model": {**to_dict(origin.config), **{n: v for n, v in given.get("model", {}).items() if n == "dropout"}},
        "text": {"tokenizer": str(origin.folder.resolve())},
    }
    return [{"train": train}, *tables, own]


def _other(given: Mapping[str, Any], own: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ from the model's: name, value, and the model's value. Dropout may differ."""
    for name, value in given.items():
        if isinstance(value, Mapping) and isinstance(own.get(name), Mapping):
            yield from _other(cast(Mapping[str, Any], value), own[name], f"{where}{name}.")
        elif f"{where}{name}" != "model.dropout" and value != own.get(name):
            yield f"{where}{name}", value, own.get(name)
