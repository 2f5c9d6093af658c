"""Products of a few rows by the kernels in C."""

from __future__ import annotations

from torch import Tensor

from clearhead.native import token


def product(
    format: str, x_K: Tensor, weight_NK: Tensor, scales_NG: Tensor | None = None, bias_N: Tensor | None = None
) -> Tensor:
    """x W^T + b over the last axis of x, in the dtype of x; sums are float32.

    format: a value of FORMATS; or "int8" or "int4" for a weight of codes, which needs scales and K a multiple of 32.
    The weight and its scales are contiguous and on the CPU. ``library`` must not be None.
    """
    if bias_N is not None:
        bias_N = bias_N.to(x_K.dtype).contiguous()
    return token.product(format, x_K.contiguous(), weight_NK, scales_NG, bias_N)
