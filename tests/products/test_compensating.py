"""Rounding for known inputs: against the definition, one column after the other, with the inverse computed anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.errors import OptionError
from clearhead.products import GROUP, compensated, quantised
from clearhead.products.few_bits import best_scales


def inputs(count: int, width: int) -> Tensor:
    """Correlated, as a network's are."""
    generator = torch.Generator().manual_seed(1)
    mixed_KK = torch.randn(width, width, generator=generator) * 0.3 + torch.eye(width)
    return torch.randn(count, width, generator=generator) @ mixed_KK


def weight(rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(2))


def by_definition(weight_NK: Tensor, moments_KK: Tensor, bits: int) -> Tensor:
    """Optimal brain surgeon, a column at a time: the others move by -e H^-1[k, :] / H^-1[k, k], H of what is left."""
    w_NK, K = weight_NK.double().clone(), weight_NK.shape[1]
    H_KK = moments_KK.double() + torch.eye(K) * 0.01 * moments_KK.double().diagonal().mean()
    least, most = (-127, 127) if bits == 8 else (-8, 7)
    scales_N = torch.zeros(len(w_NK))
    for k in range(K):
        if k % GROUP == 0:
            scales_N = best_scales(w_NK[:, None, k : k + GROUP].float(), bits)[:, 0].half().double()
        inverse = torch.linalg.inv(H_KK[k:, k:])
        code_N = (w_NK[:, k] / scales_N).round().clamp(least, most)
        error_N = w_NK[:, k] - code_N * scales_N
        w_NK[:, k:] -= error_N[:, None] * inverse[0] / inverse[0, 0]
        w_NK[:, k] = code_N * scales_N
    return w_NK.float()


@pytest.mark.parametrize("bits", [4, 8])
def test_it_is_the_definition(bits: int) -> None:
    weight_NK, x_XK = weight(12, 3 * GROUP), inputs(300, 3 * GROUP)
    found_NK = compensated(weight_NK, x_XK.T @ x_XK, bits).dense()
    # a code may go the other way where a number lies half between two, to about 1e-12 of it
    assert (found_NK - by_definition(weight_NK, x_XK.T @ x_XK, bits)).abs().gt(1e-6).double().mean() < 0.01


@pytest.mark.parametrize("bits", [4, 8])
def test_what_it_computes_changes_less_than_by_rounding_to_nearest(bits: int) -> None:
    weight_NK, x_XK = weight(64, 4 * GROUP), inputs(1000, 4 * GROUP)
    lost = [
        float(((each.dense() - weight_NK) @ x_XK.T).square().mean())
        for each in (compensated(weight_NK, x_XK.T @ x_XK, bits), quantised(weight_NK, bits))
    ]
    assert lost[0] < 0.6 * lost[1]


def test_inputs_that_are_never_seen_round_to_nearest() -> None:
    weight_NK = weight(8, 2 * GROUP)
    found = compensated(weight_NK, torch.zeros(2 * GROUP, 2 * GROUP), 4)
    assert torch.equal(found.dense(), quantised(weight_NK, 4).dense())


def test_a_weight_too_large_for_its_scales_is_refused() -> None:
    with pytest.raises(OptionError, match=r"bits 4: weights up to 1e\+09 are too large for their scales"):
        compensated(torch.full((2, GROUP), 1e9), torch.eye(GROUP), 4)
