"""Weights in the format compressed-tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.errors import ConfigError, shown
from clearhead.hub.packed.entries import KEY, NOTES, Table, group_size, supported, table_at
from clearhead.hub.packed.numbers import WORD, Numbers, Shape, agree, bits_kept, centred, from_words, groups_in


@dataclass(frozen=True, kw_only=True)
class CompressedTensors:
    """Whole numbers for weights, which llm-compressor writes; activations stay as they are.

    bits, group: of the numbers, and how many share a scale; 0 for all of a row
    zeros: groups have a zero point
    words: numbers are packed into words; otherwise each is an int8
    """

    bits: int
    group: int
    zeros: bool
    words: bool

    optional, scales = (), "weight_scale"

    @property
    def first(self) -> str:
        return "weight_packed" if self.words else "weight_scale"

    @property
    def endings(self) -> tuple[str, ...]:
        own = ("weight_packed", "weight_shape") if self.words else ("weight",)
        return (*own, "weight_scale", *(("weight_zero_point",) if self.zeros else ()))

    @property
    def kept(self) -> int | None:
        return bits_kept(self.bits, self.group, zeros=self.zeros)

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        whole = torch.int32 if self.words else torch.int8
        return {
            "weight_packed": whole,
            "weight": whole,
            "weight_zero_point": whole,
            "weight_shape": torch.int64,
        }

    def shape(self, shapes: Mapping[str, Shape]) -> Shape | None:
        N, width = shapes[self.first if self.words else "weight"]
        K = width * WORD // self.bits if self.words else width
        groups = groups_in(K, self.group)
        wanted: dict[str, Shape] = {"weight_scale": (N, groups), "weight_shape": (2,)}
        wanted["weight_zero_point"] = (N * self.bits // WORD, groups) if self.words else (N, groups)
        return (N, K) if groups and agree(shapes, wanted) else None

    def numbers(self, parts: Mapping[str, Tensor]) -> Numbers:
        half = 1 << (self.bits - 1)
        if not self.words:
            codes_NK = parts["weight"].to(torch.int16)
            zeros_NG = parts["weight_zero_point"] if self.zeros else None
        else:
            codes_NK = from_words(parts["weight_packed"], self.bits).to(torch.int16).sub_(half)
            if parts["weight_shape"].tolist() != list(codes_NK.shape):
                raise ConfigError(f"weight_shape says {parts['weight_shape'].tolist()}, not {list(codes_NK.shape)}")
            zeros_NG = None
            if self.zeros:
                zeros_NG = from_words(parts["weight_zero_point"].T, self.bits).T.to(torch.int16) - half
        if zeros_NG is not None:
            codes_NK = centred(codes_NK, zeros_NG.to(torch.int16))
        return Numbers(codes=codes_NK, scales=parts["weight_scale"])


def compressed_tensors(table: Table) -> CompressedTensors:
    """The scheme of a quantization_config. Raises ConfigError for what is not supported."""
    known: dict[str, tuple[Any, ...]] = {
        "format": ("pack-quantized", "int-quantized"),
        "kv_cache_scheme": (),
        "sparsity_config": ({}, {"format": "dense"}),
        "transform_config": ({},),
        "moe_sparsity_config": (),
        "run_compressed": (True, False),
    }
    supported(table, known, {*NOTES, "ignore", "config_groups"})
    groups = list(table_at(table, "config_groups").values())
    if not groups or not all(isinstance(each, Mapping) for each in groups):
        raise ConfigError(f"the entry {KEY}.config_groups = {shown(groups)} should hold objects")
    found: set[CompressedTensors] = set()
    for group in cast(list[Table], groups):
        supported(group, {"format": known["format"]}, {"targets", "weights"}, f"{KEY}.config_groups")
        weights, where = table_at(group, "weights") if "weights" in group else {}, f"{KEY}.config_groups.weights"
        values: dict[str, tuple[Any, ...]] = {
            "num_bits": (4, 8),
            "type": ("int",),
            "strategy": ("group", "channel"),
            "symmetric": (True, False),
            "dynamic": (False,),
            "actorder": (False, "weight", "static"),
        }
        supported(weights, values, {*NOTES, "group_size", "scale_dtype", "zp_dtype"}, where)
        words = (group.get("format") or table.get("format")) == "pack-quantized"
        bits = weights.get("num_bits") or 8
        found.add(
            CompressedTensors(
                bits=bits if words else 8,
                group=0 if weights.get("strategy") == "channel" else group_size(weights, "group_size", where),
                zeros=weights.get("symmetric") is False,
                words=words,
            )
        )
    if len(found) > 1:
        raise ConfigError(f"the entry {KEY}.config_groups has {len(found)} ways to pack; only one is supported")
    return found.pop()
