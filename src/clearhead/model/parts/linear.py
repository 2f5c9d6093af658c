"""The layers that hold trained matrices.

(The loss computes the output layer's products itself, block by block with their gradient.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.errors import RequestError
from clearhead.model.parts.registered import registered
from clearhead.model.parts.uncompiled import uncompiled
from clearhead.native import token
from clearhead.products import FEW, Quantised, dense, product, split

GROUPED = (torch.float32, torch.bfloat16, torch.float16)  # dtypes of PyTorch's grouped product
ALIGNMENT = 16  # bytes; its rows must be a multiple


@runtime_checkable
class Stacked(Protocol):
    """A part with trained matrices, each of which Muon orthogonalises by itself."""

    @property
    def stacks(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """The weights, each with the row counts of the matrices stacked in it."""
        ...


class Linear(nn.Linear):
    """``product`` with a trained weight, which may be quantised, and, optionally, a bias.

    rows: heights of the matrices stacked in the weight, if several (queries, keys, values).
    """

    weight = registered("weight")
    bias = registered("bias")

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, rows: Sequence[int] = ()) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.rows: tuple[int, ...] = tuple(rows) or (outputs,)

    def reset_parameters(self) -> None:
        """As ``nn.Linear``, but skipped on the meta device, where it takes a third of the time of building a model."""
        if not self.weight.is_meta:
            super().reset_parameters()

    @property
    def stacks(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """The weight, with the row counts of the matrices stacked in it."""
        return [(cast(nn.Parameter, self.weight), self.rows)]

    @property
    def matrix(self) -> Tensor:
        """weight_FE as a tensor, even if it is quantised."""
        return dense(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """x_E -> y_F."""
        return product(input, self.weight, self.bias)


class Projections(Linear):
    """Queries, keys and values stacked in one weight; returns queries with keys, and values."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, rows: Sequence[int]) -> None:
        super().__init__(inputs, outputs, bias=bias, rows=rows)
        queries, keys, values = rows
        self.sizes = (queries + keys, values)

    def forward(self, input: Tensor, *, apart: bool = False) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """x_BTE -> qk_BTF and v_BTF. ``apart``: without gradients, give each its own memory if there are many rows.

        A record of queries and keys then does not keep the values alive. Copying would cost a watched pass 1 to 3 %.
        """
        weight, bias, sizes = self.weight, self.bias, self.sizes
        if not apart or torch.is_grad_enabled() or input.numel() <= FEW * input.shape[-1]:
            return product(input, weight, bias).split_with_sizes(sizes, -1)
        biases = (None, None) if bias is None else bias.split_with_sizes(sizes)
        weights = split(weight, sizes)
        return tuple(product(input, weight, bias) for weight, bias in zip(weights, biases, strict=True))


class Embedding(nn.Embedding):
    """A trained vector for each id. With a tied output layer the same matrix gives the logits."""

    weight = registered("weight")

    def __init__(self, count: int, width: int) -> None:
        # Passing a weight skips its initialisation, which on the meta device imports sympy: 0.9 s and 77 MB.
        super().__init__(count, width, _weight=torch.empty(count, width))

    def forward(self, input: Tensor) -> Tensor:
        """ids_BT -> x_BTE. Raises RequestError for ids outside the vocabulary (on CUDA the kernel finds them)."""
        try:
            if self._takes(input):
                return self._rows(input)
            if isinstance(self.weight, Quantised):
                rows_NE = self.weight.held.pick(input.flatten()).dense(self.weight.dtype)
                return rows_NE.view(*input.shape, -1)
            return super().forward(input)
        except IndexError:
            raise RequestError(
                f"model: ids from {int(input.min())} to {int(input.max())}; they must be at least 0 and below the "
                f"vocabulary, {self.num_embeddings}"
            ) from None

    def _takes(self, ids_BT: Tensor) -> bool:
        """Whether the kernel in C takes these ids: it reads a few rows."""
        return (
            0 < ids_BT.numel() <= token.ROWS
            and ids_BT.shape[-1] == 1
            and ids_BT.dtype == torch.int64
            and ids_BT.is_cpu
            and ids_BT.is_contiguous()
            and token.usable(self.weight)
            and (isinstance(self.weight, Quantised) or self.weight.is_contiguous())
        )

    def _rows(self, ids_BT: Tensor) -> Tensor:
        weight, scales = self.weight.held if isinstance(self.weight, Quantised) else (self.weight, None)
        x_BTE = token.embed(ids_BT, weight, scales, self.embedding_dim, self.weight.dtype)
        if x_BTE is None:
            raise IndexError
        return x_BTE

    @property
    def matrix(self) -> Tensor:
        """weight_VE as a tensor, even if it is quantised."""
        return dense(self.weight)

    def logits(self, x_BTE: Tensor, bias_V: Tensor | None = None) -> Tensor:
        """logits_BTV: each vector's product with every embedding (Press and Wolf 2017)."""
        return product(x_BTE, self.weight, bias_V)


class Stack(nn.Module):
    """One linear layer per expert: weight_XRE and, if wanted, bias_XR. rows: as in ``Linear``, of each expert."""

    def __init__(self, experts: int, inputs: int, outputs: int, *, bias: bool, rows: Sequence[int] = ()) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(experts, outputs)) if bias else None
        self.rows: tuple[int, ...] = tuple(rows) or (outputs,)

    @property
    def stacks(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """The weight, with the row counts of the matrices stacked in each expert's part."""
        return [(self.weight, self.rows)]

    def forward(self, x_SE: Tensor, experts_S: Tensor, ends_X: Tensor) -> Tensor:
        """x_SE, sorted by the expert of each row, and where each expert's rows end -> y_SR. One product per expert."""
        x_SE, weight_XRE = _products(x_SE), _products(self.weight)
        if not _groups(weight_XRE):
            return _each(x_SE, weight_XRE, self.bias, ends_X)
        y_SR = F.grouped_mm(x_SE, weight_XRE.mT, offs=ends_X.int())
        return y_SR if self.bias is None else y_SR + self.bias.to(y_SR.dtype)[experts_S]


def _products(t: Tensor) -> Tensor:
    """Casts to autocast's dtype, which the grouped product does not do by itself."""
    device = t.device.type
    return t.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else t


def _groups(weight_XRE: Tensor) -> bool:
    """Whether PyTorch's grouped product takes these weights: rows must be aligned; compiled, only bfloat16."""
    fits = all(size * weight_XRE.element_size() % ALIGNMENT == 0 for size in weight_XRE.shape[1:])
    device, dtype = weight_XRE.device.type, weight_XRE.dtype
    if not fits or dtype not in GROUPED or (torch.compiler.is_compiling() and dtype != torch.bfloat16):
        return False
    return device == "cpu" or (device == "cuda" and torch.cuda.get_device_capability(weight_XRE.device) >= (8, 0))


@uncompiled  # the rows per expert are only known at run time, so each routing would be recompiled
def _each(x_SE: Tensor, weight_XRE: Tensor, bias_XR: Tensor | None, ends_X: Tensor) -> Tensor:
    # unbind gives one gradient for the stack; indexing would give a full-size one per expert
    weights = weight_XRE.unbind() if torch.is_grad_enabled() else weight_XRE
    biases = bias_XR.unbind() if bias_XR is not None and torch.is_grad_enabled() else bias_XR
    outputs, start = list[Tensor](), 0
    for expert, end in enumerate(ends_X.tolist()):
        if end > start:
            outputs.append(product(x_SE[start:end], weights[expert], None if biases is None else biases[expert]))
        start = end
    return torch.cat(outputs)
