"""x W^T + b, for weights of every kind."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from clearhead.native import FORMATS, library
from clearhead.products import choosing, native
from clearhead.products.few_bits import Codes, Quantised

FEW = choosing.ROWS[-1]  # rows; products of more are PyTorch's own

_classes = [next(size for size in choosing.ROWS if rows <= size) for rows in range(FEW + 1)]


def product(x_E: Tensor, weight_FE: Tensor | Quantised | Codes, bias_F: Tensor | None = None) -> Tensor:
    """x W^T + b over the last axis of x, which may have any axes before it.

    For a few rows on a processor, when no gradient is wanted, the way is chosen by measuring (choosing.py).
    """
    if isinstance(weight_FE, Quantised):
        weight_FE = weight_FE.held
    if isinstance(weight_FE, Codes):
        return weight_FE.product(x_E, bias_F)
    numbers, width = x_E.numel(), x_E.shape[-1]
    if torch.is_grad_enabled() or not 0 < numbers <= FEW * width or not direct(x_E, weight_FE):
        return F.linear(x_E, weight_FE, bias_F)
    if weight_FE.numel() < choosing.SMALLEST:
        if library() is not None and (x_E.dim() == 1 or x_E.shape[-2] == 1):  # one new token in each row, not a prompt
            return native.product(FORMATS[weight_FE.dtype], x_E, weight_FE, None, bias_F)
        return F.linear(x_E, weight_FE, bias_F)
    rows = _classes[numbers // width]
    way = choosing.chosen(weight_FE.shape, weight_FE.dtype, rows, torch.get_num_threads())
    return way(x_E, weight_FE, bias_F)


def direct(x_E: Tensor, weight_FE: Tensor) -> bool:
    """Whether this product goes straight to a kernel on the CPU: no conversion, autocast or compiler."""
    return (
        weight_FE.is_cpu
        and x_E.is_cpu
        and weight_FE.shape[-1] == x_E.shape[-1]
        and x_E.dtype == weight_FE.dtype
        and weight_FE.dtype in FORMATS
        and weight_FE.is_contiguous()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
