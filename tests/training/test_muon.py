"""Muon against the polar factor, its quintic by hand, and torch's own."""

import math

import pytest
import torch
from torch import nn

from clearhead.training.muon import Muon, Slab, orthogonalise


def quintic(sigma: float) -> float:
    """What the five steps do to a singular value (Jordan et al. 2024), in plain numbers."""
    for _ in range(5):
        sigma = 3.4445 * sigma - 4.7750 * sigma**3 + 2.0315 * sigma**5
    return sigma


def matrix(rows: int, columns: int, smallest: float, seed: int) -> torch.Tensor:
    """float64, with singular values spread evenly in the logarithm from 1 down to ``smallest``."""
    random = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(rows, rows, dtype=torch.float64, generator=random))
    v, _ = torch.linalg.qr(torch.randn(columns, rows, dtype=torch.float64, generator=random))
    return u @ torch.diag(torch.logspace(0, math.log10(smallest), rows, dtype=torch.float64)) @ v.T


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (7, 19), (23, 29)])
def test_the_singular_values_come_near_one_and_the_directions_stay(rows, columns):
    g = matrix(rows, columns, 0.02, seed=rows)
    (x,) = orthogonalise(g.unsqueeze(0), torch.float64)
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    inner = u.T @ x @ vh.T
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-9  # the same directions
    assert inner.diagonal().min() > 0.68
    assert inner.diagonal().max() < 1.14
    polar = u @ vh  # the exact nearest orthogonal matrix
    assert torch.linalg.matrix_norm(x - polar, ord=2) < 0.32


def test_each_singular_value_goes_through_the_quintic():
    g = matrix(5, 8, 0.001, seed=1)
    (x,) = orthogonalise(g.unsqueeze(0), torch.float64)
    before, after = torch.linalg.svdvals(g), torch.linalg.svdvals(x)
    expected = sorted((quintic(float(s / before.norm())) for s in before), reverse=True)
    assert after.tolist() == pytest.approx(expected, rel=1e-5)  # 1e-7 is added to the norm


def test_a_stack_is_its_matrices_one_by_one():
    stack = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0))
    each = torch.cat([orthogonalise(one.unsqueeze(0), torch.float32) for one in stack])
    assert torch.allclose(orthogonalise(stack, torch.float32), each, atol=1e-6)


def test_nothing_to_orthogonalise_gives_nothing():
    assert orthogonalise(torch.zeros(1, 3, 5), torch.float32).count_nonzero() == 0


def parameters(*shapes: tuple[int, int]) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(*shape, generator=random)) for shape in shapes]


def gradients(ours: list[nn.Parameter], step: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(100 + step)
    return [torch.randn(p.shape, generator=random) for p in ours]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.0002), (torch.float32, 0.002)])
def test_it_is_torchs_muon(dtype, tolerance):
    """Updates are up to 0.08 large. torch's computes in bfloat16: so do we here, or differ by its roundings, 2 %."""
    shapes = [(6, 6), (5, 13), (13, 5), (6, 6)]
    ours, theirs = parameters(*shapes), parameters(*shapes)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}
    mine = Muon([Slab(p, 0, p.shape[0]) for p in ours], dtype=dtype, **options)
    peer = torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", nesterov=True, **options)
    for step in range(4):
        for own, other, g in zip(ours, theirs, gradients(ours, step), strict=True):
            own.grad, other.grad = g.clone(), g.clone()
        before = [p.detach().clone() for p in ours]
        mine.step()
        peer.step()
        for own, other, start in zip(ours, theirs, before, strict=True):
            assert (own - start).abs().max() > 0.01  # else the next line says nothing
            assert (own - other).abs().max() < tolerance * (step + 1)


def test_an_update_has_the_root_mean_square_of_adamws():
    """0.2, where all singular values are 1 (Liu et al. 2025, eq. 4); the quintic's values make it 0.14 to 0.23."""
    for shape in [(16, 16), (16, 64), (64, 16)]:
        (p,) = parameters(shape)
        before = p.detach().clone()
        p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        Muon([Slab(p, 0, shape[0])], lr=1.0, momentum=0.0, weight_decay=0.0, dtype=torch.float32).step()
        assert 0.14 < (p.detach() - before).square().mean().sqrt() < 0.23


def test_slabs_of_a_fused_parameter_are_matrices_of_their_own():
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "dtype": torch.float32}
    apart = parameters((4, 7), (2, 7), (9, 7))
    (fused,) = parameters((15, 7))
    fused.data = torch.cat([p.data for p in apart])
    one = Muon([Slab(fused, 0, 4), Slab(fused, 4, 2), Slab(fused, 6, 9)], **options)
    three = Muon([Slab(p, 0, p.shape[0]) for p in apart], **options)
    for step in range(3):
        found = gradients(apart, step)
        for p, g in zip(apart, found, strict=True):
            p.grad = g
        fused.grad = torch.cat(found)
        one.step()
        three.step()
        assert torch.allclose(fused, torch.cat(list(apart)), atol=1e-6)


def test_momentum_by_hand():
    """A 1 x 1 matrix: its update is -lr 0.2 sign(nesterov) f(1), f the quintic, whatever the gradient's size."""
    p = nn.Parameter(torch.zeros(1, 1))
    muon = Muon([Slab(p, 0, 1)], lr=0.5, momentum=0.5, weight_decay=0.0, dtype=torch.float32)
    expected, momentum = 0.0, 0.0
    for g in (4.0, -1.0, -9.0):
        p.grad = torch.full((1, 1), g)
        muon.step()
        momentum = 0.5 * momentum + 0.5 * g
        nesterov = 0.5 * g + 0.5 * momentum
        expected -= 0.5 * 0.2 * math.copysign(quintic(1.0), nesterov)
        assert p.item() == pytest.approx(expected, abs=1e-5)


def test_a_gradient_that_is_missing_is_reported():
    (p,) = parameters((2, 3))
    with pytest.raises(RuntimeError, match=r"run backward\(\) before step\(\)"):
        Muon([Slab(p, 0, 2)], lr=0.1, momentum=0.9, weight_decay=0.0, dtype=torch.float32).step()
