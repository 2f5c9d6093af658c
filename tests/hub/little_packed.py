"""Small models in packed folders, as the tools that pack write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme
from little_gguf import CONFIGS, folder
from torch import Tensor

from clearhead.tensorfile import read_tensors, write_tensors

LLAMA = replace(CONFIGS["llama"], feed_forward=replace(CONFIGS["llama"].feed_forward, width=128))
Parts = dict[str, Tensor]


def packed(
    place: Path, settings: Mapping[str, Any], pack: Callable[[str, Tensor], tuple[Parts, Tensor]], config: Any = LLAMA
) -> dict[str, Tensor]:
    """Makes a folder whose projections are packed. Returns what they hold, in float64, by name.

    pack: gives the tensors of a matrix of this shape, by ending, and their numbers
    """
    folder(place, config)
    tensors = read_tensors(place / "model.safetensors")[0]
    held: dict[str, Tensor] = {}
    torch.manual_seed(0)
    for name in [name for name in tensors if name.endswith("proj.weight")]:
        parts, held[name] = pack(name, tensors.pop(name))
        tensors |= {f"{name.removesuffix('.weight')}.{ending}": part for ending, part in parts.items()}
    write_tensors(place / "model.safetensors", tensors)  # without the notes of ours
    written = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(written | {"quantization_config": settings}))
    return held


def drawn(shape: tuple[int, ...], group: int, bits: int, dtype: torch.dtype = torch.float16) -> tuple[Tensor, ...]:
    """codes_NK from 0, zeros_NG and scales_NG of a matrix."""
    N, K = shape
    groups = 1 if group == -1 else K // group
    codes_NK, zeros_NG = torch.randint(0, 1 << bits, (N, K)), torch.randint(1, 1 << bits, (N, groups))
    return codes_NK, zeros_NG, (torch.rand(N, groups) * 0.02 + 1e-3).to(dtype)


def numbers(codes_NK: Tensor, zeros_NG: Tensor | int, scales_NG: Tensor, groups_K: Tensor | None = None) -> Tensor:
    """The definition, in float64: (code - zero) x scale, each of its group."""
    K, G = codes_NK.shape[1], scales_NG.shape[1]
    groups_K = torch.arange(K) // (K // G) if groups_K is None else groups_K
    zeros = zeros_NG[:, groups_K] if isinstance(zeros_NG, Tensor) else zeros_NG
    return (codes_NK - zeros).double() * scales_NG.double()[:, groups_K]


def by_library(
    form: str, *, group: int = 32, bits: int = 4, symmetric: bool = True, dtype: torch.dtype = torch.float16
) -> tuple[dict[str, Any], Callable[[str, Tensor], tuple[Parts, Tensor]]]:
    """The quantization_config, and the packing, of compressed-tensors itself."""
    weights = {"num_bits": bits, "symmetric": symmetric, "type": "int"}
    weights |= {"strategy": "channel"} if group == -1 else {"strategy": "group", "group_size": group}
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)  # pyright: ignore[reportArgumentType]
    settings = {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": json.loads(scheme.model_dump_json())},
        "ignore": ["lm_head"],
    }
    compressor = BaseCompressor.get_value_from_registry(form)

    def pack(name: str, weight: Tensor) -> tuple[Parts, Tensor]:
        _, zeros_NG, scales_NG = drawn(tuple(weight.shape), group, bits, dtype)
        zeros_NG = (zeros_NG - (1 << (bits - 1))).to(torch.int8)
        state = {"weight": weight.to(dtype) / 50, "weight_scale": scales_NG}
        if not symmetric:
            state["weight_zero_point"] = zeros_NG
        parts = compressor.compress(state, scheme)
        exact = {ending: part.double() if part.is_floating_point() else part for ending, part in parts.items()}
        return parts, compressor.decompress(exact, scheme)["weight"]

    return settings, pack


def as_gptq(
    *, bits: int = 4, group: int = 32, sym: bool = True, desc_act: bool = False, version: str = "gptq"
) -> tuple[dict[str, Any], Callable[[str, Tensor], tuple[Parts, Tensor]]]:
    """AutoGPTQ's packing, number by number."""
    settings = {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": group,
        "sym": sym,
        "desc_act": desc_act,
        "checkpoint_format": version,
        "damp_percent": 0.01,
    }

    def pack(name: str, weight: Tensor) -> tuple[Parts, Tensor]:
        codes_NK, zeros_NG, scales_NG = drawn(tuple(weight.shape), group, bits)
        if sym:
            zeros_NG.fill_(1 << (bits - 1))
        K, G = codes_NK.shape[1], scales_NG.shape[1]
        groups_K = torch.arange(K) // (K // G)
        if desc_act:
            groups_K = groups_K[torch.randperm(K)]
        stored_NG = zeros_NG - int(version == "gptq")
        parts = {
            "qweight": words(codes_NK.T.numpy(), bits, axis=0),
            "qzeros": words(stored_NG.T.numpy(), bits, axis=1),
            "scales": scales_NG.T.contiguous(),
            "g_idx": groups_K.int(),
        }
        return parts, numbers(codes_NK, zeros_NG, scales_NG, groups_K)

    return settings, pack


def as_awq(*, group: int = 32) -> tuple[dict[str, Any], Callable[[str, Tensor], tuple[Parts, Tensor]]]:
    """AutoAWQ's packing, number by number."""
    settings = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}

    def pack(name: str, weight: Tensor) -> tuple[Parts, Tensor]:
        codes_NK, zeros_NG, scales_NG = drawn(tuple(weight.shape), group, 4)
        order = [8 * word + number for word in range(len(codes_NK) // 8) for number in (0, 2, 4, 6, 1, 3, 5, 7)]
        parts = {
            "qweight": words(codes_NK.T.numpy()[:, order], 4, axis=1),
            "qzeros": words(zeros_NG.T.numpy()[:, order], 4, axis=1),
            "scales": scales_NG.T.contiguous(),
        }
        return parts, numbers(codes_NK, zeros_NG, scales_NG)

    return settings, pack


def words(codes: np.ndarray[Any, Any], bits: int, axis: int) -> Tensor:
    """Numbers along an axis put into words of 32 bits, the first lowest."""
    whole = np.moveaxis(codes.astype(np.uint32), axis, 0)
    each = 32 // bits
    made = np.zeros((len(whole) // each, *whole.shape[1:]), dtype=np.uint32)
    for place in range(each):
        made |= whole[place::each] << np.uint32(bits * place)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(made, 0, axis)).view(np.int32).copy())
