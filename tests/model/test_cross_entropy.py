"""The output layer's loss in parts against torch's of the whole, values and gradients."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from clearhead.model.parts import cross_entropy
from clearhead.model.parts.cross_entropy import linear_cross_entropy

TARGETS = torch.tensor([3, 0, -100, 6, -1, 6, 2])


def given(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    x_NE = torch.randn(7, 5, generator=random, dtype=torch.float64) * 2
    weight_VE = torch.randn(11, 5, generator=random, dtype=torch.float64)
    return x_NE.to(dtype).requires_grad_(), weight_VE.to(dtype).requires_grad_()


def plain(
    x_NE: torch.Tensor, weight_VE: torch.Tensor, cap: float | None = None, bias_V: torch.Tensor | None = None
) -> torch.Tensor:
    logits_NV = x_NE @ weight_VE.T if bias_V is None else x_NE @ weight_VE.T + bias_V
    logits_NV = logits_NV if cap is None else cap * torch.tanh(logits_NV / cap)
    counted = TARGETS >= 0
    return -logits_NV.log_softmax(dim=1)[counted, TARGETS[counted]].sum()


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("cap", [None, 1.7])
@pytest.mark.parametrize("at_once", [1, 23, 10_000])  # a place at a time, two, all
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_value_and_gradients(monkeypatch, dtype, tolerance, at_once, cap, biased):
    monkeypatch.setitem(cross_entropy.LOGITS_AT_ONCE, "cpu", at_once)
    ours, theirs = given(dtype), given(torch.float64)
    bias_V = torch.linspace(-2, 3, 11, dtype=torch.float64) if biased else None
    if bias_V is not None:
        ours, theirs = (*ours, bias_V.to(dtype, copy=True).requires_grad_()), (*theirs, bias_V.clone().requires_grad_())
    value = linear_cross_entropy(*ours[:2], TARGETS, cap, *ours[2:])
    expected = plain(*theirs[:2], cap, *theirs[2:])
    (3 * value).backward()
    (3 * expected).backward()
    assert value.dtype == dtype
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    for own, other in zip(ours, theirs, strict=True):
        assert own.grad.dtype == dtype
        assert torch.allclose(own.grad.double(), other.grad, rtol=tolerance, atol=tolerance)


def test_places_that_do_not_count_are_left_out_of_the_products_where_most_do_not():
    ours, theirs = given(torch.float64), given(torch.float64)
    targets = torch.tensor([-100, -100, 4, -100, -100, 9, -1])
    value = linear_cross_entropy(*ours, targets)
    expected = F.cross_entropy(theirs[0] @ theirs[1].T, targets.clamp(min=-1), ignore_index=-1, reduction="sum")
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for own, other in zip(ours, theirs, strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=1e-12, atol=1e-12)
    assert linear_cross_entropy(*given(torch.float64), torch.full((7,), -100)).item() == 0


@pytest.mark.parametrize("at_once", [1, 23, 10_000])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("smoothing", [0.1, 0.7])
def test_labels_smoothed_as_in_torch(monkeypatch, smoothing, biased, at_once):
    monkeypatch.setitem(cross_entropy.LOGITS_AT_ONCE, "cpu", at_once)
    (*ours,), (*theirs,) = given(torch.float64), given(torch.float64)
    for each in (ours, theirs):
        each.append(torch.linspace(-2, 3, 11, dtype=torch.float64).requires_grad_() if biased else torch.zeros(11))
    value = linear_cross_entropy(*ours[:2], TARGETS, None, ours[2] if biased else None, smoothing)
    expected = F.cross_entropy(
        theirs[0] @ theirs[1].T + theirs[2],
        TARGETS.where(TARGETS >= 0, -100),
        reduction="sum",
        label_smoothing=smoothing,
    )
    (3 * value).backward()
    (3 * expected).backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    for own, other in zip(ours[: 2 + biased], theirs, strict=False):
        assert torch.allclose(own.grad, other.grad, rtol=1e-12, atol=1e-12)


def test_a_smoothed_label_by_hand():
    """Logits 0 and ln 3: probabilities 1/4 and 3/4; a fifth of the label is spread over both."""
    x_NE, weight_VE = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[0.0], [math.log(3)]], dtype=torch.float64)
    found = linear_cross_entropy(x_NE, weight_VE, torch.tensor([1]), smoothing=0.2)
    assert found.item() == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25), rel=1e-12)


def test_smoothing_under_a_cap_has_the_gradient_of_the_value():
    x_NE, weight_VE = given(torch.float64)
    bias_V = torch.linspace(-2, 3, 11, dtype=torch.float64).requires_grad_()
    smoothed = lambda x, w, b: linear_cross_entropy(x, w, TARGETS, 1.7, b, 0.3)  # noqa: E731
    assert torch.autograd.gradcheck(smoothed, (x_NE, weight_VE, bias_V))


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_each_of_the_three_can_be_trained_alone(trained):
    bias_V = torch.linspace(-2, 3, 11, dtype=torch.float64)
    ours, theirs = ([*(each.detach() for each in given(torch.float64)), bias_V.clone()] for _ in range(2))
    for each in (ours, theirs):
        each[trained].requires_grad_()
    linear_cross_entropy(*ours[:2], TARGETS, None, ours[2]).backward()
    plain(*theirs[:2], None, theirs[2]).backward()
    assert torch.allclose(ours[trained].grad, theirs[trained].grad, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_that_of_the_value():
    x_NE, weight_VE = given(torch.float64)
    assert torch.autograd.gradcheck(lambda x, w: linear_cross_entropy(x, w, TARGETS), (x_NE, weight_VE))


def test_products_in_bfloat16_sums_in_float32():
    (x_NE, weight_VE), wide = given(torch.float32), given(torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        value = linear_cross_entropy(x_NE, weight_VE, TARGETS)
    value.backward()
    plain(*wide).backward()
    assert value.dtype == x_NE.grad.dtype == torch.float32
    assert value.item() == pytest.approx(plain(*wide).item(), rel=0.02)
    assert value.item() != pytest.approx(plain(*wide).item(), rel=1e-6)  # else nothing was rounded
    assert (x_NE.grad - wide[0].grad).abs().max() < 0.03


def test_logits_far_apart_give_no_overflow():
    x_NE = torch.tensor([[300.0], [-300.0]])
    weight_VE = torch.tensor([[1.0], [-1.0], [0.0]])
    assert float(linear_cross_entropy(x_NE, weight_VE, torch.tensor([0, 0]))) == pytest.approx(600)
    whole = F.cross_entropy(x_NE @ weight_VE.T, torch.tensor([0, 0]), reduction="sum")
    assert float(whole) == pytest.approx(600)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten.mm.default
        return function(*args, **(kwargs or {}))


def test_measuring_makes_no_gradient():
    """Two more products of three: a look at the validation text would take three times as long."""
    x_NE, weight_VE = given(torch.float32)
    with torch.no_grad(), Products() as measuring:
        value = linear_cross_entropy(x_NE, weight_VE, TARGETS)
    with Products() as training:
        again = linear_cross_entropy(x_NE, weight_VE, TARGETS)
    assert (measuring.count, training.count) == (1, 3)
    assert (value.requires_grad, again.requires_grad) == (False, True)
    assert torch.equal(value, again)
