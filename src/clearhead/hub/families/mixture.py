"""What mixtures of experts share: the router's entries, and tensors for each expert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, shown
from clearhead.hub.families import decoder
from clearhead.hub.families.entries import entry
from clearhead.hub.families.table import Row
from clearhead.model import DecoderConfig, ExpertsConfig

HARMLESS = decoder.HARMLESS | {
    "output_router_logits",
    "router_jitter_noise",  # acts in training only
}


def experts(config: DecoderConfig) -> ExpertsConfig:
    """The config's experts. Raises ConfigError if it has none."""
    if config.feed_forward.experts is None:
        raise ConfigError("feed_forward.experts is missing; this family has experts")
    return config.feed_forward.experts


def written(config: DecoderConfig, count: str) -> dict[str, Any]:
    """The entries of the router; ``count`` is their name for the number of experts."""
    x = experts(config)
    return {count: x.count, "num_experts_per_tok": x.active, "router_aux_loss_coef": x.balance}


def read(settings: Mapping[str, Any], count: str, active: int) -> dict[str, Any]:
    """The entries as options of an ExpertsConfig. active: the default number of active experts."""
    return {
        "count": entry(settings, count, int),
        "active": entry(settings, "num_experts_per_tok", int, active),
        "balance": entry(settings, "router_aux_loss_coef", float, 0.001),
    }


def renamed(settings: Mapping[str, Any], name: str, other: str) -> dict[str, Any]:
    """The entries with ``name`` instead of ``other``. Raises ConfigError if both are there and disagree."""
    found = {key: value for key, value in settings.items() if key != other}
    if other in settings and found.setdefault(name, settings[other]) != settings[other]:
        raise ConfigError(f"{other}: {shown(settings[other])}, but {shown(found[name])} in {name}")
    return found


def rows(config: DecoderConfig, ours: str, theirs: str, names: tuple[str, str, str]) -> list[Row]:
    """Router and experts of a layer; ``names`` are their names for gate, up and down of one expert."""
    f, numbers = config.feed_forward, range(experts(config).count)
    gate, up, down = names
    halves = tuple(f"{theirs}.experts.{x}.{half}.weight" for x in numbers for half in (gate, up))
    downs = tuple(f"{theirs}.experts.{x}.{down}.weight" for x in numbers)
    return [
        Row(f"{ours}.feed_forward.router.weight", (f"{theirs}.gate.weight",)),
        Row(f"{ours}.feed_forward.up.weight", halves, (f.width, f.width), stacked=True),
        Row(f"{ours}.feed_forward.down.weight", downs, stacked=True),
    ]
