"""Rounding a weight for known inputs: each column's error is made up for by the columns after it."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.products.few_bits import GROUP, Codes, Quantised, best_scales, check_size, codes_of

DAMPING = 0.01  # of the mean of the diagonal, added to it: as in GPTQ


def compensated(weight_NK: Tensor, moments_KK: Tensor, bits: int) -> Quantised:
    """Rounds a weight to 8 or 4 bits so that W x changes least (Frantar et al. 2022, algorithm 1).

    moments_KK: the sum of x x^T over the inputs x_K

    Raises OptionError for numbers that are too large for their scales.
    """
    left_NK = weight_NK.detach().double().clone()
    upper_KK = _inverse_factor(moments_KK.double())
    integers_NK = torch.empty_like(left_NK, dtype=torch.int8)
    groups: list[Tensor] = []
    for start in range(0, left_NK.shape[1], GROUP):
        here = slice(start, start + GROUP)
        check_size(left_NK[:, here], bits)
        group_NI, factor_II = left_NK[:, here], upper_KK[here, here]
        scales_N = best_scales(group_NI.float().unsqueeze(1), bits)[:, 0].half()
        errors_NI = torch.empty_like(group_NI)
        for i in range(GROUP):
            column_N = group_NI[:, i]
            codes_N = codes_of(column_N[:, None, None], scales_N[:, None], bits)[:, 0, 0]
            errors_NI[:, i] = (column_N - codes_N * scales_N.double()) / factor_II[i, i]
            group_NI[:, i + 1 :] -= errors_NI[:, i, None] * factor_II[i, i + 1 :]
            integers_NK[:, start + i] = codes_N.to(torch.int8)
        left_NK[:, here.stop :] -= errors_NI @ upper_KK[here, here.stop :]
        groups.append(scales_N)
    return Quantised(Codes.of(integers_NK, torch.stack(groups, dim=1), bits), weight_NK.dtype)


def _inverse_factor(moments_KK: Tensor) -> Tensor:
    """The upper triangle U with U^T U = (moments + damping)^-1."""
    mean = moments_KK.diagonal().mean()
    damped_KK = moments_KK.clone()
    damped_KK.diagonal().add_(DAMPING * mean if mean > 0 else 1)
    inverse_KK = torch.cholesky_inverse(torch.linalg.cholesky(damped_KK))
    return torch.linalg.cholesky(inverse_KK, upper=True)
