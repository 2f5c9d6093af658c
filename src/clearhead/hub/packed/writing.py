"""Writes matrices in whole numbers, in the format compressed-tensors: transformers and vLLM open such folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import OptionError
from clearhead.hub.families.table import Row, kept, to_theirs
from clearhead.hub.packed.numbers import to_words
from clearhead.model import Network, check_bits, matrices
from clearhead.products import GROUP, Quantised, quantised


def packed_tensors(table: Sequence[Row], network: Network, bits: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a folder with the matrices rounded, under the family's names, and its quantization_config.

    The linear layers are rounded as ``model.quantise`` rounds them, unless ``model.calibrate`` has done so already,
    except the output layer: tools that open such folders take that and embeddings as plain numbers. Raises OptionError
    for a family whose matrices are no linear layers in transformers.
    """
    check_bits(bits)
    chosen, rows = matrices(network, bits, edges=False), kept(table)
    plain = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith((*chosen,))}
    tensors = to_theirs([row for name, row in rows.items() if name in plain], plain)
    for name, each in chosen.items():
        row = rows[name]
        if row.transposed or row.stacked or row.interleaved:
            raise OptionError(
                f"bits {bits}: {row.theirs[0]} is not a linear layer in transformers, which cannot open it packed; "
                "write a file for llama.cpp (--gguf)"
            )
        weight = each.layer.weight
        held = weight.held if isinstance(weight, Quantised) else quantised(weight, bits).held
        numbers_NK = (held.integers.to(torch.int16) + (1 << (bits - 1))).to(torch.uint8)
        for ending, part in (("weight_packed", to_words(numbers_NK, bits)), ("weight_scale", held.scales)):
            for theirs, some in to_theirs([row], {name: part}).items():
                tensors[_ending(theirs, ending)] = some
                tensors[_ending(theirs, "weight_shape")] = torch.tensor((len(some), numbers_NK.shape[1]))
    left = [row for name, row in rows.items() if name in plain and plain[name].dim() == 2]
    ignored = {name.removesuffix(".weight") for row in left for name in row.theirs + row.copies}
    return tensors, _settings(bits, sorted(ignored))


def _ending(name: str, ending: str) -> str:
    return f"{name.removesuffix('.weight')}.{ending}"


def _settings(bits: int, ignore: Sequence[str]) -> dict[str, Any]:
    """ignore: the layers that are not packed"""
    weights = {
        "num_bits": bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": GROUP,
        "dynamic": False,
    }
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": list(ignore),
    }
