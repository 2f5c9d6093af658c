"""Configs as nested plain values, for TOML and JSON, and back."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from clearhead.errors import ConfigError, nearest, shown


def to_dict(config: object) -> dict[str, Any]:
    """A config as nested plain values; None is left out, tuples become lists."""
    fields = dataclasses.fields(cast(Any, config))
    values = {field.name: getattr(config, field.name) for field in fields}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(each) for each in cast(tuple[object, ...], value)] if isinstance(value, tuple) else value


C = TypeVar("C")


def from_dict(kind: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """The config that ``to_dict`` wrote. Raises ConfigError for unknown (with the nearest), missing or wrong keys."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind))}
    taken: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise ConfigError(f"{where}{name}: unknown{nearest(name, fields)}")
        taken[name] = checked(hints[name], value, f"{where}{name}")
    absent = [name for name, field in fields.items() if name not in taken and _required(field)]
    if absent:
        raise ConfigError(f"{where.removesuffix('.') or 'config'}: missing {', '.join(absent)}")
    return kind(**taken)


def checked(hint: Any, value: Any, where: str) -> Any:
    """``value`` as a field of this type holds it: tables become configs, lists tuples, whole numbers floats.

    Raises ConfigError, which begins with ``where``, for a value of another type; a float must be finite.
    """
    # Literal[...] | None is another kind of union than int | None
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
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
        return f"a table with {', '.join(typing.get_type_hints(option))}"
    if typing.get_origin(option) is tuple:
        return _NAMES.get(option) or "a list of tables"
    return _NAMES.get(option) or " or ".join(map(repr, typing.get_args(option)))


def _listed(option: Any, values: list[Any]) -> bool:
    """Tables in a list say themselves what is wrong inside them."""
    each = typing.get_args(option)[0]
    if dataclasses.is_dataclass(each):
        return all(isinstance(one, Mapping) for one in values)
    return all(_fits(each, one) for one in values)


def _fits(option: Any, value: Any) -> bool:
    if isinstance(value, bool) and option is not bool:
        return False  # to Python, True is the whole number 1
    if option is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if typing.get_origin(option) is Literal:
        return value in typing.get_args(option)
    return isinstance(value, option)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
