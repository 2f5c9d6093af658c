"""How the matrices of a folder are packed, by the quantization_config of its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor

from clearhead.hub.packed.awq import awq
from clearhead.hub.packed.compressed_tensors import compressed_tensors
from clearhead.hub.packed.entries import KEY, Table
from clearhead.hub.packed.gptq import gptq
from clearhead.hub.packed.numbers import Numbers, Shape


class Scheme(Protocol):
    """A format. Its tensors are named like the matrix, with an ending of their own instead of ``.weight``.

    endings: of the tensors of each matrix. optional: of those that may be missing
    first: an ending that no other tensor has. scales: that of the scales
    dtypes: of the endings that hold whole numbers; the others hold floating-point numbers
    kept: the bits that its matrices can stay in, without being made dense; None if they cannot
    """

    @property
    def endings(self) -> tuple[str, ...]: ...
    @property
    def optional(self) -> tuple[str, ...]: ...
    @property
    def first(self) -> str: ...
    @property
    def scales(self) -> str: ...
    @property
    def dtypes(self) -> Mapping[str, torch.dtype]: ...
    @property
    def kept(self) -> int | None: ...

    def shape(self, shapes: Mapping[str, Shape]) -> Shape | None:
        """Of the matrix, by the shapes of its tensors; None if they do not fit together."""
        ...

    def numbers(self, parts: Mapping[str, Tensor]) -> Numbers:
        """The matrix. Raises ConfigError if the numbers contradict the format."""
        ...


FORMATS = {"compressed-tensors": compressed_tensors, "gptq": gptq, "awq": awq}


def scheme(settings: Table) -> Scheme | None:
    """The format that config.json names; None if weights are not packed, or in a way that is not read.

    Raises ConfigError for an entry of quantization_config that is not supported.
    """
    found = settings.get(KEY)
    table = cast(Table, found) if isinstance(found, Mapping) else {}
    read = FORMATS.get(str(table.get("quant_method")))
    return None if read is None else read(table)
