"""Entries of a config.json, each read as the kind of value it must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, nearest, shown
from clearhead.model import checked

_NONE = object()
HEADS = ("hidden_size", "num_attention_heads")


def entry(settings: Mapping[str, Any], name: str, kind: Any, default: Any = _NONE) -> Any:
    """The setting as a ``kind`` (a type as in a config's field). Raises ConfigError when it is missing or another."""
    if name in settings:
        return checked(kind, settings[name], name)
    if default is _NONE:
        raise ConfigError(f"the setting {name} is missing")
    return default


def word(settings: Mapping[str, Any], name: str, ours: Mapping[str, str]) -> str:
    """Our word for a setting that is one of theirs; ``ours`` has our words as keys. Raises ConfigError for others."""
    theirs = entry(settings, name, str)
    found = next((our for our, their in ours.items() if their == theirs), None)
    if found is None:
        raise ConfigError(f"{name}: {shown(theirs)} is not supported{nearest(theirs, ours.values())}")
    return found


def share(width: int, heads: int, names: tuple[str, str] = HEADS) -> int:
    """The width of each head, of heads that fill the whole. Raises ConfigError when they do not divide it."""
    if heads < 1 or width % heads:
        raise ConfigError(f"{names[1]}: {heads} heads for {names[0]} {width}; the heads must divide the width")
    return width // heads
