"""Weights in the format of GPTQ (Frantar et al. 2022), as AutoGPTQ and GPTQModel write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ConfigError, shown
from clearhead.hub.packed.entries import KEY, NOTES, Table, group_size, supported
from clearhead.hub.packed.numbers import WORD, Numbers, Shape, agree, bits_kept, centred, from_words, groups_in

# What the tools note of how they found the numbers, or would compute with them.
FREE = NOTES | {
    *("damp_percent", "damp_auto_increment", "true_sequential", "static_groups", "tokenizer", "dataset", "batch_size"),
    *("model_file_base_name", "model_name_or_path", "pad_token_id", "use_cuda_fp16", "use_exllama", "disable_exllama"),
    *("exllama_config", "cache_block_outputs", "modules_in_block_to_quantize", "block_name_to_quantize", "backend"),
    *("module_name_preceding_first_block", "model_seqlen", "max_input_length", "meta", "mse", "quantizer", "method"),
    *("act_group_aware", "offload_to_disk", "offload_to_disk_path", "pack_impl", "lm_head", "format"),
    "is_marlin_format",
}


@dataclass(frozen=True, kw_only=True)
class GPTQ:
    """GPTQ: (in, out), packed along the inputs.

    zeros: zero points may differ from the middle
    ordered: groups follow each other; otherwise g_idx gives that of each input (desc_act)
    shift: what is added to stored zero points, 1 in the first version of the format
    """

    bits: int
    group: int
    zeros: bool
    ordered: bool
    shift: int

    first, scales = "qweight", "scales"
    endings = ("qweight", "qzeros", "scales")
    optional = ("g_idx",)

    @property
    def kept(self) -> int | None:
        return bits_kept(self.bits, self.group, zeros=self.zeros) if self.ordered else None

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        return dict.fromkeys(("qweight", "qzeros", "g_idx"), torch.int32)

    def shape(self, shapes: Mapping[str, Shape]) -> Shape | None:
        width, N = shapes["qweight"]
        K = width * WORD // self.bits
        groups = groups_in(K, self.group)
        wanted: dict[str, Shape] = {"qzeros": (groups, N * self.bits // WORD), "scales": (groups, N), "g_idx": (K,)}
        return (N, K) if groups and agree(shapes, wanted) else None

    def numbers(self, parts: Mapping[str, Tensor]) -> Numbers:
        codes_NK = from_words(parts["qweight"].T, self.bits).to(torch.int16)
        zeros_NG = from_words(parts["qzeros"], self.bits).to(torch.int16).T + self.shift
        if not self.zeros and not bool((zeros_NG == 1 << (self.bits - 1)).all()):
            raise ConfigError("sym says that zero points are in the middle, and they are not")
        K, G = codes_NK.shape[1], zeros_NG.shape[1]
        follow_K = torch.arange(K) // (K // G)
        groups_K = parts.get("g_idx", follow_K)
        if int(groups_K.min()) < 0 or int(groups_K.max()) >= G:
            raise ConfigError(f"g_idx goes from {int(groups_K.min())} to {int(groups_K.max())}, for {G} groups")
        scales_NG = parts["scales"].T
        if torch.equal(groups_K.long(), follow_K):
            return Numbers(codes=centred(codes_NK, zeros_NG), scales=scales_NG)
        if self.ordered:
            raise ConfigError("desc_act says that groups follow each other, and g_idx does not")
        return Numbers(codes=codes_NK - zeros_NG[:, groups_K.long()], scales=scales_NG, groups=groups_K)


def gptq(table: Table) -> GPTQ:
    """The scheme of a quantization_config. Raises ConfigError for what is not supported."""
    known: dict[str, tuple[Any, ...]] = {
        "bits": (4, 8),
        "desc_act": (True, False),
        "sym": (True, False),
        "checkpoint_format": ("gptq", "gptq_v2"),
        "dynamic": ({},),
        "pack_dtype": ("int32",),
    }
    supported(table, known, FREE | {"group_size"})
    if table.get("bits") not in known["bits"]:
        raise ConfigError(f"the entry {KEY}.bits = {shown(table.get('bits'))} is not supported, only 4, 8")
    return GPTQ(
        bits=table["bits"],
        group=group_size(table, "group_size"),
        zeros=table.get("sym") is not True,
        ordered=not table.get("desc_act"),
        shift=0 if table.get("checkpoint_format") == "gptq_v2" else 1,
    )
