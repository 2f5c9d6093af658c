"""Reads the entries of a quantization_config: one that is unknown, or has an unknown value, is an error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from clearhead.errors import ConfigError, shown

KEY = "quantization_config"
Table = Mapping[str, Any]

# What tools note of how they found the numbers.
NOTES = frozenset(
    ("quant_method", "version", "observer", "observer_kwargs", "global_compression_ratio", "quantization_status")
)


def supported(table: Table, known: Mapping[str, tuple[Any, ...]], free: Collection[str], where: str = KEY) -> None:
    """Raises ConfigError unless each entry is free or has one of its known values; None is always one."""
    for name, value in table.items():
        if name in free or value is None:
            continue
        if name not in known:
            raise ConfigError(f"the entry {where}.{name} = {shown(value)} is not supported")
        if not any(type(value) is type(each) and value == each for each in known[name]):  # 4.0 == 4, and 1 == True
            few = ", ".join(map(shown, known[name])) or "null"
            raise ConfigError(f"the entry {where}.{name} = {shown(value)} is not supported, only {few}")


def group_size(table: Table, name: str, where: str = KEY) -> int:
    """How many numbers share a scale; 0 for all of a row. Raises ConfigError if it is no size."""
    size = table.get(name, -1)
    if isinstance(size, bool) or not isinstance(size, int) or not (size == -1 or 0 < size <= 2**20):
        raise ConfigError(f"the entry {where}.{name} = {shown(size)} should be the size of groups, or -1")
    return max(0, size)


def table_at(table: Table, name: str, where: str = KEY) -> Table:
    """Raises ConfigError if the entry is not an object."""
    found = table.get(name)
    if not isinstance(found, Mapping):
        raise ConfigError(f"the entry {where}.{name} = {shown(found)} should be an object")
    return cast(Table, found)
