"""Products of a few rows by the kernels in C."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.native import NUMBERS, library, tape, token

ROWS = 16  # the most rows of x that the kernels are offered


def product(
    format: str, x_K: Tensor, weight_NK: Tensor, scales_NG: Tensor | None = None, bias_N: Tensor | None = None
) -> Tensor:
    """x W^T + b over the last axis of x, in the dtype of x; sums are float32.

    format: a value of FORMATS; or "int8" or "int4" for a weight of codes, which needs scales. The weight and its
    scales are contiguous and on the CPU, and K is a multiple of STEP. ``library`` must not be None.
    """
    N, K = weight_NK.shape[0], x_K.shape[-1]
    x_K = x_K.contiguous()
    if bias_N is not None:
        bias_N = bias_N.to(x_K.dtype).contiguous()
    if x_K.numel() == K:
        return token.product(format, x_K, weight_NK, scales_NG, bias_N)
    tape.refuse("a product of several rows")
    y_N = x_K.new_empty(*x_K.shape[:-1], N)
    worked = getattr(library(), format)(
        x_K.data_ptr(),
        weight_NK.data_ptr(),
        None if scales_NG is None else scales_NG.data_ptr(),
        None if bias_N is None else bias_N.data_ptr(),
        y_N.data_ptr(),
        x_K.numel() // K,
        N,
        K,
        NUMBERS[x_K.dtype],
        torch.get_num_threads(),
    )
    if not worked:
        raise MemoryError(f"{4 * x_K.numel():,} bytes")
    return y_N
