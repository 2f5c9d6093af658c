"""Converts configs to nested plain values, for TOML and JSON, and back."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar, cast

from clearhead.errors import ConfigError, nearest, shown


class Tagged:
    """A config with several kinds, each its own class; the ``kind`` entry of a table selects one.

    classes: by kind; register new ones here. default: used by tables without ``kind``. kind: the name of each class
    """

    classes: ClassVar[dict[str, type[Any]]]
    default: ClassVar[str]
    kind: ClassVar[str]


def to_dict(config: object) -> dict[str, Any]:
    """A config as nested plain values. None is omitted, tuples become lists."""
    fields = dataclasses.fields(cast(Any, config))
    values = {field.name: getattr(config, field.name) for field in fields}
    tag = {"kind": config.kind} if isinstance(config, Tagged) else {}
    return tag | {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(each) for each in cast(tuple[object, ...], value)] if isinstance(value, tuple) else value


C = TypeVar("C")


def from_dict(kind: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """The inverse of ``to_dict``. Raises ConfigError for an unknown (suggesting the nearest), missing or bad value."""
    kind, values = _class_of(kind, values, where)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    taken: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(f"{where}{name}: unknown{nearest(name, fields)}")
        taken[name] = checked(hints[name], value, f"{where}{name}")
    absent = missing(kind, taken)
    if absent:
        raise ConfigError(f"{where.removesuffix('.') or 'config'}: missing {', '.join(absent)}")
    return kind(**taken)


def missing(kind: type, values: Mapping[str, Any]) -> list[str]:
    """Required entries that the table lacks. Raises ConfigError for an unknown kind."""
    chosen, values = _class_of(kind, values, "")
    return [field.name for field in dataclasses.fields(chosen) if field.name not in values and _required(field)]


def _class_of(kind: type[C], values: Mapping[str, Any], where: str) -> tuple[type[C], Mapping[str, Any]]:
    """The class that a table selects, and the table without ``kind``."""
    if not issubclass(kind, Tagged):
        return kind, values
    name = values.get("kind", kind.default if "kind" not in vars(kind) else kind.kind)
    found = kind.classes.get(name) if isinstance(name, str) else None
    if found is None or not issubclass(found, kind):
        known = [each for each, other in kind.classes.items() if issubclass(other, kind)]
        raise ConfigError(f"{where}kind: there is no {shown(name)}{nearest(str(name), known)}")
    return found, {each: value for each, value in values.items() if each != "kind"}


def checked(hint: Any, value: Any, where: str) -> Any:
    """Converts ``value`` to a field's type: tables to configs, lists to tuples, whole numbers to floats.

    Raises ConfigError, starting with ``where``, if the type does not match or a float is not finite.
    """
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{where}: {shown(value)} is not UTF-8, and a recipe is; rename the file or folder, or name its parent"
            ) from None
    options = _choices(hint)
    for option in options:
        if dataclasses.is_dataclass(option):
            if isinstance(value, Mapping):
                return from_dict(cast(Any, option), cast(Mapping[str, Any], value), f"{where}.")
        elif typing.get_origin(option) is tuple:
            if isinstance(value, list | tuple) and _listed(option, cast(Any, value)):
                (each, _) = typing.get_args(option)
                return tuple(checked(each, one, f"{where}.{i}") for i, one in enumerate(cast(list[Any], value)))
        elif _fits(option, value):
            return float(cast(float, value)) if option is float else value
    if len(options) == 1 and dataclasses.is_dataclass(hint):
        raise ConfigError(f"{where}: {shown(value)} was given; it is {_name(hint)}")
    raise ConfigError(f"{where}: {shown(value)} was given; it must be {' or '.join(map(_name, options))}")


def _choices(hint: Any) -> tuple[Any, ...]:
    """The types that a union allows; for any other type, that type alone."""
    # Literal[...] | None is a typing.Union, int | None a types.UnionType
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
    tuple[str, ...]: "a list of texts",
    tuple[float, ...]: "a list of finite numbers",
    tuple[int, ...]: "a list of whole numbers",
    dict: "a table",
    type(None): "left out",
}


def _name(option: Any) -> str:
    if dataclasses.is_dataclass(option):
        return f"a table with {', '.join(field.name for field in dataclasses.fields(option))}"
    if typing.get_origin(option) is tuple:
        return _NAMES.get(option) or "a list of tables"
    return _NAMES.get(option) or " or ".join(map(repr, typing.get_args(option)))


def _listed(option: Any, values: list[Any]) -> bool:
    """Whether the list fits, without looking inside tables, which report their own errors."""
    each = typing.get_args(option)[0]
    if dataclasses.is_dataclass(each):
        return all(isinstance(one, Mapping) for one in values)
    if typing.get_origin(each) is tuple:
        return all(isinstance(one, list | tuple) and _listed(each, cast(Any, one)) for one in values)
    return all(any(_fits(choice, one) for choice in _choices(each)) for one in values)


def _fits(option: Any, value: Any) -> bool:
    if isinstance(value, bool) and option is not bool:
        return False  # in Python, True is an int
    if option is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if typing.get_origin(option) is Literal:
        return value in typing.get_args(option)
    return isinstance(value, option)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
