"""Rotary positions in a config.json: ``rope_parameters``, and what transformers before version 5 wrote instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.errors import ConfigError, nearest, shown
from clearhead.hub.families.entries import entry
from clearhead.model import PositionConfig, ScalingConfig

SCALINGS = ("default", "linear", "llama3", "yarn", "longrope")
OLDER = ("rope_theta", "rope_scaling", "partial_rotary_factor")


def modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with ``rope_parameters`` instead of the three entries of older files.

    Raises ConfigError if the file has both and they disagree.
    """
    found = {name: value for name, value in settings.items() if name not in OLDER}
    older = _typed(entry(settings, "rope_scaling", dict | None, None))
    older |= {name: settings[name] for name in OLDER if name != "rope_scaling" and settings.get(name) is not None}
    newer = _typed(entry(settings, "rope_parameters", dict | None, None))
    if not newer and not older:
        return found
    for name, value in older.items():
        if name in newer and newer[name] != value:
            raise ConfigError(f"{name}: {shown(value)}, but {shown(newer[name])} in rope_parameters")
    return {**found, "rope_parameters": {**older, **newer}}


def _typed(rope: Mapping[str, Any] | None) -> dict[str, Any]:
    """A table with ``rope_type`` instead of ``type``, its older name."""
    typed = dict(rope or {})
    if "type" in typed:
        typed.setdefault("rope_type", typed["type"])
        del typed["type"]
    return typed


def written(positions: PositionConfig, *, partial: bool = False) -> dict[str, Any]:
    """``rope_parameters`` for these positions. partial: the family may rotate only part of each head."""
    scaling = positions.scaling
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": positions.theta}
    if partial:
        rope["partial_rotary_factor"] = positions.rotated
    if scaling is None:
        return rope
    rope |= {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind != "linear":
        rope["original_max_position_embeddings"] = scaling.original
    if scaling.kind == "llama3":
        rope |= {"low_freq_factor": scaling.low, "high_freq_factor": scaling.high}
    if scaling.kind == "yarn":
        rope |= {"beta_fast": scaling.fast, "beta_slow": scaling.slow, "truncate": scaling.whole}
    if scaling.kind == "longrope":
        rope |= {"short_factor": list(scaling.short), "long_factor": list(scaling.long)}
    if scaling.attention is not None:
        rope["attention_factor"] = scaling.attention
    return rope


def read(
    rope: Mapping[str, Any],
    *,
    context: int,
    theta: float | None = 10_000.0,
    rotated: float | None = None,
    kinds: tuple[str, ...] = SCALINGS,
) -> PositionConfig:
    """The positions of ``rope_parameters``.

    theta: the default; None = required. rotated: the default for the rotated part of each head; None = always all of
    it. Raises ConfigError for scaling whose kind is not in ``kinds``, or whose entries are missing.
    """
    base = entry(rope, "rope_theta", float) if theta is None else entry(rope, "rope_theta", float, theta)
    part = 1.0 if rotated is None else entry(rope, "partial_rotary_factor", float, rotated)
    return PositionConfig(theta=base, rotated=part, scaling=_scaling(rope, context, kinds))


def _scaling(rope: Mapping[str, Any], context: int, kinds: tuple[str, ...]) -> ScalingConfig | None:
    kind = entry(rope, "rope_type", str, "default")
    if kind not in kinds:
        why = " (its angles would change while a text grows)" if kind == "dynamic" else ""
        raise ConfigError(f"rope_type: {shown(kind)} is not supported{why}{nearest(kind, kinds)}")
    if kind == "default":
        return None
    if kind == "linear":
        return ScalingConfig(kind="linear", factor=entry(rope, "factor", float))
    original = entry(rope, "original_max_position_embeddings", int, context)
    if kind == "llama3":
        return ScalingConfig(
            kind="llama3",
            factor=entry(rope, "factor", float),
            original=original,
            low=entry(rope, "low_freq_factor", float),
            high=entry(rope, "high_freq_factor", float),
        )
    attention = entry(rope, "attention_factor", float | None, None)
    if kind == "yarn":
        return ScalingConfig(
            kind="yarn",
            factor=_factor(rope, context, original),
            original=original,
            fast=entry(rope, "beta_fast", float | None, None) or 32.0,
            slow=entry(rope, "beta_slow", float | None, None) or 1.0,
            whole=entry(rope, "truncate", bool, True),
            attention=attention,
        )
    return ScalingConfig(
        kind="longrope",
        factor=_factor(rope, context, original),
        original=original,
        short=entry(rope, "short_factor", tuple[float, ...]),
        long=entry(rope, "long_factor", tuple[float, ...]),
        attention=attention,
    )


def _factor(rope: Mapping[str, Any], context: int, original: int) -> float:
    factor = entry(rope, "factor", float | None, None)
    if factor is None and original < 1:
        raise ConfigError(f"original_max_position_embeddings: {original}; it must be at least 1")
    return context / original if factor is None else factor
