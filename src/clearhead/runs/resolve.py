"""Merges recipe, config file, options and settings into one table, and checks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from clearhead import recipes
from clearhead.errors import OptionError
from clearhead.model import ModelConfig
from clearhead.plain import from_dict, missing, to_dict
from clearhead.recipes import Table, TextConfig
from clearhead.runs import origin as origins
from clearhead.runs.material import check_text
from clearhead.training import TrainConfig
from clearhead.training.budget import shape
from clearhead.training.config import window_of

MINUTES = 5.0
BY_STEPS = "tiny"  # the default recipe of a run by steps, whose shape must not depend on the machine


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user asked for.

    given: options by table (text, train), None where not given
    recipe: name of a shipped one; config: a TOML file; settings: single values, as tables
    origin: the model to start from; out: the run folder
    """

    given: Table
    recipe: str | None = None
    config: Path | None = None
    settings: Sequence[Table] = ()
    origin: str | None = None
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The merged table, with all values of text, model and train checked, and its text config."""

    table: Table
    text: TextConfig = field(default_factory=TextConfig)


def resolve(asked: Asked) -> Resolved:
    """Merges the recipe, the config file, the options and the settings; later ones win.

    Catches mistakes before the text is read: raises OptionError or ConfigError naming the value, FolderError if the
    origin does not exist.
    """
    tables = [recipes.read(asked.recipe)] if asked.recipe else []
    tables += [recipes.read_file(asked.config)] if asked.config else []
    tables += [present(asked.given), *asked.settings]
    for each in tables:
        recipes.check_names(each)
    origin = origins.find(tables, asked.origin)
    table = _whole(tables if origin is None else origins.laid_under(origin, tables))
    text = from_dict(TextConfig, table["text"], "text.")
    check_text(text)
    train = from_dict(TrainConfig, table["train"], "train.")
    # Placeholders for what measuring will choose.
    chosen_later = {"vocabulary": 1} if complete(table["model"]) else to_dict(shape(0, vocabulary=1, context=16))
    model = from_dict(ModelConfig, recipes.joined([chosen_later, table["model"]]), "model.")
    if complete(table["model"]):
        window_of(train, model)
    return Resolved(table=table, text=text)


def present(given: Table) -> Table:
    """Only the options that were given."""
    parts = {
        part: {name: value for name, value in values.items() if value is not None} for part, values in given.items()
    }
    return {part: values for part, values in parts.items() if values}


def complete(model: Mapping[str, Any]) -> bool:
    """True if the table, with defaults, fully determines the model; the vocabulary may be missing."""
    return set(missing(ModelConfig, model)) <= {"vocabulary"}


def _whole(tables: Sequence[Table]) -> Table:
    """Merges the tables, with text, model and train filled in. Of two values that exclude each other the later wins.

    Raises OptionError if one table has both.
    """
    chosen = {**_topmost(tables, "train", ("steps", "minutes")), **_topmost(tables, "text", ("sources", "corpus"))}
    whole = recipes.joined([{"text": {}, "model": {}, "train": {}}, *tables])
    text, train = whole["text"], whole["train"]
    if "sources" in chosen and text.pop("corpus", None) is not None:
        text.pop("megabytes", None)
    if "corpus" in chosen:
        text.pop("sources", None)
    text.pop("fingerprint", None)  # belongs to the run that wrote the file; this run computes its own
    for name in ("steps", "minutes"):
        if name not in chosen:
            train.pop(name, None)
    if "steps" not in chosen:
        train.setdefault("minutes", MINUTES)
    elif not complete(whole["model"]):
        whole["model"] = recipes.joined([recipes.read(BY_STEPS)["model"], whole["model"]])
    return whole


def _topmost(tables: Sequence[Table], part: str, names: tuple[str, str]) -> Table:
    """Which of two exclusive values the last table that has either gives, as a table; empty if none does."""
    for table in reversed(tables):
        values = cast(Mapping[str, Any], table.get(part, {}))
        found = {name: values[name] for name in names if values.get(name) not in (None, [], ())}
        if len(found) == 2:
            both = " and ".join(f"{name} {value}" for name, value in found.items())
            raise OptionError(f"{part}: {both} were both given; choose one")
        if found:
            return found
    return {}
