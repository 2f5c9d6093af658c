"""Whole configurations: named ones that ship with the package, files, and single values given by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from clearhead.errors import ConfigError, FolderError, OptionError, nearest
from clearhead.files import read_bounded
from clearhead.model.config import ModelConfig
from clearhead.plain import Tagged, from_dict
from clearhead.training.config import TrainConfig

Table = dict[str, Any]

FILE_AT_MOST = 2**20  # bytes; a recipe has some hundred


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """What a run reads."""

    sources: tuple[str, ...] = ()  # files, folders or patterns
    corpus: str | None = None  # a built-in one, instead
    megabytes: float | None = None  # of the built-in corpus; None = its own default
    valid: tuple[str, ...] = ()  # validation files; empty = the last tenth of the text
    tokenizer: str = "bpe"  # bytes, characters, bpe, or the path of a tokenizer.json
    vocabulary: int | None = None  # of bpe; None = from the text's size
    field: str | None = None  # of .jsonl lines
    encoding: str = "utf-8"
    fingerprint: str | None = None  # of the token stream; a resumed run must meet the same


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run, resolved: what ``recipe.toml`` in a run folder holds."""

    version: Literal[1] = 1
    origin: str | None = None  # the model it went on from: a folder, or a name on the hub with its commit
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig
    train: TrainConfig


def names() -> list[str]:
    """The recipes that ship with the package."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def read(name: str) -> Table:
    """A shipped recipe as nested tables. Raises OptionError naming the nearest for an unknown name."""
    if name not in names():
        raise OptionError(f"recipe: there is no {name!r}{nearest(name, names())}")
    return tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def read_file(path: Path) -> Table:
    """A TOML file as nested tables. Raises OptionError when it cannot be read, is not UTF-8 or not TOML."""
    try:
        text = read_bounded(path, FILE_AT_MOST).decode("utf-8-sig")  # Windows' editors begin with a byte-order mark
    except FileNotFoundError:
        raise OptionError(f"config: there is no file {path}") from None
    except OSError as fault:
        raise OptionError(f"config: {path} cannot be read: {fault.strerror}") from None
    except FolderError as fault:
        raise OptionError(f"config: {fault}") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"config: {path}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:  # UTF-16 without its mark, of which ASCII is UTF-8 too
        raise OptionError(
            f"config: {path}: byte {text.index(chr(0))} is NUL, so it is not UTF-8 text; save it as UTF-8"
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, or numbers or nesting beyond Python's limits
        raise OptionError(f"config: {path} is not TOML: {error}") from None


def read_setting(setting: str) -> Table:
    """``model.layers=6`` as nested tables; the value is read as TOML, and as a plain string where it is not."""
    name, equals, value = setting.partition("=")
    if not equals or not all(name.strip().split(".")):
        raise OptionError(f"--set {setting}: it must read name=value, such as model.layers=6")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return setting_of(name.strip(), parsed)


def setting_of(name: str, value: Any) -> Table:
    """``("model.layers", 6)`` as nested tables."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return cast(Table, value)


def joined(tables: Sequence[Mapping[str, Any]]) -> Table:
    """The tables laid over one another, the last on top."""
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
    """The recipe that the tables describe. Raises ConfigError naming what is unknown, missing or of the wrong kind."""
    return from_dict(Recipe, table)


def check_names(table: Mapping[str, Any], kind: type = Recipe, where: str = "") -> None:
    """Raises ConfigError for names that no recipe has, with the nearest, and for values in place of tables."""
    hints = _hints(kind, table)
    for name, value in table.items():
        if name not in hints:
            raise ConfigError(f"{where}{name}: unknown{nearest(name, hints)}")
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                parts = ", ".join(_hints(hints[name], {}))
                raise ConfigError(f"{where}{name}: {value!r} was given; it is a table with {parts}")
            check_names(cast(Table, value), hints[name], f"{where}{name}.")


def _hints(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """The names of a table of this config with their types; those of every kind where the table does not say its own.

    (It may be one of several that are laid over one another.)
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
