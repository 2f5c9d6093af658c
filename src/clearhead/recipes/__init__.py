"""Recipes: whole run configs, shipped with the package or read from TOML files, and single settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from clearhead.errors import ConfigError, FolderError, OptionError, nearest, shown, unread
from clearhead.files import read_bounded
from clearhead.model.config import ModelConfig
from clearhead.plain import Tagged, from_dict
from clearhead.training.config import TrainConfig

Table = dict[str, Any]

FILE_AT_MOST = 2**20  # bytes; a recipe has a few hundred
DEEPEST = 16  # tables in one another; the deepest entry has 4


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text of a run."""

    # how sources are read: as text; as files of sentence pairs; or as two files, of which line n of one translates line
    # n of the other
    layout: Literal["text", "pairs", "parallel"] = "text"
    sources: tuple[str, ...] = ()  # files, folders or patterns to train on
    corpus: str | None = None  # name of a built-in text, instead of sources
    megabytes: float | None = None  # size of the built-in text; None = its default
    valid: tuple[str, ...] = ()  # files to validate on; empty = the last tenth of the text
    # auto (by the text), bpe, character-bpe, unigram, characters, bytes, or a tokenizer.json's path
    tokenizer: str = "auto"
    # number of tokens for auto, bpe, character-bpe, unigram; None = by the size of the text
    vocabulary: int | None = None
    # the field of .jsonl lines that holds the text, or both fields of a pair as "en,de"; None = text, or source,target
    field: str | None = None
    overlap: bool = False  # whether source sentences of the validation pairs may stand in the training pairs
    # code of the sources' language, such as eng_Latn, for a model of many languages; None = the one its folder names
    source_language: str | None = None
    target_language: str | None = None  # code of the targets' language; models of many languages need it
    encoding: str = "utf-8"  # encoding of the files
    fingerprint: str | None = None  # hash of the token stream; a resumed run must match it


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The resolved config of a run, as stored in ``recipe.toml``."""

    version: Literal[1] = 1  # version of this file's layout
    origin: str | None = None  # the model the run started from: a folder, or a name on the hub with its commit
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig
    train: TrainConfig


def names() -> list[str]:
    """Names of the recipes that ship with the package."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def read(name: str) -> Table:
    """A shipped recipe as nested tables. Raises OptionError, suggesting the nearest, for an unknown name."""
    if name not in names():
        raise OptionError(f"recipe: there is no {name!r}{nearest(name, names())}")
    return tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def read_file(path: Path) -> Table:
    """A TOML file as nested tables. Raises OptionError if it cannot be read or is not UTF-8 or TOML."""
    try:
        text = read_bounded(path, FILE_AT_MOST).decode("utf-8-sig")  # editors on Windows write a byte-order mark
    except FileNotFoundError:
        raise OptionError(f"config: there is no file {path}") from None
    except OSError as fault:
        raise OptionError(f"config: {path} cannot be read: {fault.strerror}") from None
    except FolderError as fault:
        raise OptionError(f"config: {fault}") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"config: {path}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:  # UTF-16 without a mark: ASCII in it decodes as UTF-8
        raise OptionError(
            f"config: {path}: byte {text.index(chr(0))} is NUL, so it is not UTF-8 text; save it as UTF-8"
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, or numbers or nesting beyond Python's limits
        raise OptionError(f"config: {path} is not TOML: {unread(error)}") from None


def read_setting(setting: str) -> Table:
    """``model.layers=6`` as nested tables. The value is parsed as TOML, and taken as a plain string if that fails."""
    name, equals, value = setting.partition("=")
    if not equals or not all(name.strip().split(".")):
        raise OptionError(f"--set {setting}: write it as name=value, such as model.layers=6")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    except (ValueError, RecursionError) as error:  # numbers or nesting beyond Python's limits
        raise OptionError(f"--set {shown(setting)}: {unread(error)}") from None
    return setting_of(name.strip(), parsed)


def setting_of(name: str, value: Any) -> Table:
    """``("model.layers", 6)`` as nested tables."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return cast(Table, value)


def joined(tables: Sequence[Mapping[str, Any]]) -> Table:
    """Merges nested tables; later ones win."""
    whole: Table = {}
    for table in tables:
        for name, value in table.items():
            below = whole.get(name)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                whole[name] = joined([cast(Table, below), cast(Table, value)])
            else:
                whole[name] = value
    return whole


def resolved(table: Mapping[str, Any]) -> Recipe:
    """The recipe in the table. Raises ConfigError naming anything unknown, missing or of the wrong type."""
    return from_dict(Recipe, table)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a run's TOML file. Raises OptionError or ConfigError naming the file."""
    try:
        return resolved(read_file(path))
    except ConfigError as fault:
        raise ConfigError(f"{path}: {fault}") from None


def check_names(table: Mapping[str, Any], kind: type = Recipe, where: str = "") -> None:
    """Raises ConfigError for unknown names, suggesting the nearest, and for values where a table belongs."""
    hints = _hints(kind, table)
    for name, value in table.items():
        if name not in hints:
            raise ConfigError(f"{where}{name}: unknown{nearest(name, hints)}")
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                parts = ", ".join(_hints(hints[name], {}))
                raise ConfigError(f"{where}{name}: {shown(value)} was given; it is a table with {parts}")
            check_names(cast(Table, value), hints[name], f"{where}{name}.")
        else:
            _check_depth(value, f"{where}{name}")


def _check_depth(value: Any, where: str) -> None:
    """Raises ConfigError for tables nested deeper than any entry, which Python could not merge."""
    tables = [value]
    for _ in range(DEEPEST):
        tables = [inner for table in tables if isinstance(table, Mapping) for inner in table.values()]
        if not tables:
            return
    raise ConfigError(f"{where}: tables more than {DEEPEST} deep were given; no entry is")


def _hints(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """Field names and types for a table of this config: for its kind, or for all kinds if it does not name one.

    (The kind may be in another of the merged tables.)
    """
    if not issubclass(kind, Tagged):
        return _fields(kind)
    own = kind.classes.get(str(table.get("kind")))
    names: dict[str, Any] = {"kind": str}
    for each in kind.classes.values() if own is None else [own]:
        names = _fields(each) | names
    return names


def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(cast(Any, kind))}


def _folder() -> Any:
    return resources.files("clearhead.recipes")
