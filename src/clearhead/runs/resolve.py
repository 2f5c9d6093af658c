"""From what was asked to one table: recipe, config file, options and settings laid over one another."""

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
BY_STEPS = "tiny"  # the recipe of a run by steps that names no other: its shape must not depend on the machine


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a new run.

    given: values of options by table (text, train); None stands for one that was not given
    recipe: a shipped one; config: a TOML file; settings: single values, as tables
    origin: the model to go on from; out: the run folder
    """

    given: Table
    recipe: str | None = None
    config: Path | None = None
    settings: Sequence[Table] = ()
    origin: str | None = None
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One table with text, model and train, every value of which has been checked, and its text."""

    table: Table
    text: TextConfig = field(default_factory=TextConfig)


def resolve(asked: Asked) -> Request:
    """Lays what was asked over one another: the recipe, the config file, the options, the settings, the last on top.

    A slip is told here, before the text is read. Raises OptionError and ConfigError naming it, FolderError for an
    origin that is not there.
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
    # What measuring will choose stands in for itself.
    chosen_later = {"vocabulary": 1} if complete(table["model"]) else to_dict(shape(0, vocabulary=1, context=16))
    model = from_dict(ModelConfig, recipes.joined([chosen_later, table["model"]]), "model.")
    if complete(table["model"]):
        window_of(train, model)
    return Request(table=table, text=text)


def present(given: Table) -> Table:
    """The options that were given, without the others."""
    parts = {
        part: {name: value for name, value in values.items() if value is not None} for part, values in given.items()
    }
    return {part: values for part, values in parts.items() if values}


def complete(model: Mapping[str, Any]) -> bool:
    """True when the tables leave nothing of the model open that has no default."""
    return set(missing(ModelConfig, model)) <= {"vocabulary"}


def _whole(tables: Sequence[Table]) -> Table:
    """The tables as one, with text, model and train in it; of two values that exclude each other the topmost stays.

    Raises OptionError for a table with both of such values.
    """
    chosen = {**_topmost(tables, "train", ("steps", "minutes")), **_topmost(tables, "text", ("sources", "corpus"))}
    whole = recipes.joined([{"text": {}, "model": {}, "train": {}}, *tables])
    text, train = whole["text"], whole["train"]
    if "sources" in chosen and text.pop("corpus", None) is not None:
        text.pop("megabytes", None)
    if "corpus" in chosen:
        text.pop("sources", None)
    text.pop("fingerprint", None)  # of the run that the file was written by; this one's is found anew
    for name in ("steps", "minutes"):
        if name not in chosen:
            train.pop(name, None)
    if "steps" not in chosen:
        train.setdefault("minutes", MINUTES)
    elif not complete(whole["model"]):
        whole["model"] = recipes.joined([recipes.read(BY_STEPS)["model"], whole["model"]])
    return whole


def _topmost(tables: Sequence[Table], part: str, names: tuple[str, str]) -> Table:
    """The one of two values that the topmost table with either names, as a table; empty when none does."""
    for table in reversed(tables):
        values = cast(Mapping[str, Any], table.get(part, {}))
        found = {name: values[name] for name in names if values.get(name) not in (None, [], ())}
        if len(found) == 2:
            both = " and ".join(f"{name} {value}" for name, value in found.items())
            raise OptionError(f"{part}: {both} were both given; choose one")
        if found:
            return found
    return {}
