"""Weights in the format of AWQ (Lin et al. 2023), as AutoAWQ writes it in its version gemm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.hub.packed.entries import NOTES, Table, group_size, supported
from clearhead.hub.packed.numbers import WORD, Numbers, Shape, agree, bits_kept, centred, from_words, groups_in

# What the tools note of how they would compute.
FREE = (NOTES - {"version"}) | {
    *("modules_to_not_convert", "do_fuse", "fuse_max_seq_len", "modules_to_fuse", "exllama_config", "backend"),
    "format",
}


@dataclass(frozen=True, kw_only=True)
class AWQ:
    """AWQ: (in, out), four bits with zero points, packed along the outputs."""

    bits: int
    group: int
    zeros: bool

    first, scales = "qweight", "scales"
    endings = ("qweight", "qzeros", "scales")
    optional = ()
    # Number i of a word belongs to output ORDER[i] of its eight.
    ORDER = (0, 2, 4, 6, 1, 3, 5, 7)

    @property
    def kept(self) -> int | None:
        return bits_kept(self.bits, self.group, zeros=True)

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        return dict.fromkeys(("qweight", "qzeros"), torch.int32)

    def shape(self, shapes: Mapping[str, Shape]) -> Shape | None:
        K, width = shapes["qweight"]
        N, groups = width * WORD // self.bits, groups_in(K, self.group)
        wanted: dict[str, Shape] = {"qzeros": (groups, width), "scales": (groups, N)}
        return (N, K) if groups and agree(shapes, wanted) else None

    def numbers(self, parts: Mapping[str, Tensor]) -> Numbers:
        codes_NK, zeros_NG = (self._outputs(parts[name]).T.to(torch.int16) for name in ("qweight", "qzeros"))
        return Numbers(codes=centred(codes_NK, zeros_NG), scales=parts["scales"].T)

    def _outputs(self, words_RW: Tensor) -> Tensor:
        places = torch.tensor(self.ORDER).argsort()
        return from_words(words_RW, self.bits).unflatten(1, (-1, len(self.ORDER)))[..., places].flatten(1)


def awq(table: Table) -> AWQ:
    """The scheme of a quantization_config. Raises ConfigError for what is not supported."""
    known: dict[str, tuple[Any, ...]] = {
        "bits": (4,),
        "w_bit": (4,),
        "zero_point": (True,),
        "version": ("gemm", "GEMM"),
    }
    supported(table, known, FREE | {"group_size", "q_group_size"})
    return AWQ(bits=4, group=group_size(table, "q_group_size" if "q_group_size" in table else "group_size"), zeros=True)
