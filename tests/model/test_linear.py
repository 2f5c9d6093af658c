"""Products of a few rows: whichever routine takes them, they are those of the definition in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from clearhead.model.parts.linear import Linear
from clearhead.products import product

# Roundings of a product's last digit, and of the bias added to it, over numbers up to 40.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 0.04, torch.bfloat16: 0.3}


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("leading", [(), (1, 1), (2, 1), (1, 7), (2, 4), (3, 5), (1, 32), (1, 33), (2, 0)], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_rows_of_any_number(dtype: torch.dtype, leading: tuple[int, ...], biased: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(*leading, 67, generator=random, dtype=torch.float64).to(dtype)
    weight = torch.randn(41, 67, generator=random, dtype=torch.float64).to(dtype)
    bias = torch.randn(41, generator=random, dtype=torch.float64).to(dtype) if biased else None
    expected = torch.einsum("...e,fe->...f", x.double(), weight.double()) + (0 if bias is None else bias.double())
    layer = Linear(67, 41, bias=biased).to(dtype)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    with torch.inference_mode():
        found = layer(x)
    assert (found.dtype, found.shape) == (dtype, (*leading, 41))
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=TOLERANCE[dtype])
    torch.testing.assert_close(product(x, weight, bias).double(), expected, rtol=0, atol=TOLERANCE[dtype])


def test_gradients_are_those_of_the_definition() -> None:
    layer = Linear(5, 3).double()
    torch.autograd.gradcheck(layer, torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True))


class TestItsWeightIsTheRegisteredOne:
    """Whatever PyTorch puts in the place of a parameter is what the layer multiplies by."""

    x = torch.tensor([1.0, 2.0, 3.0])

    def layer(self) -> Linear:
        layer = Linear(3, 1, bias=True)
        layer.load_state_dict({"weight": torch.ones(1, 3), "bias": torch.ones(1)})
        return layer

    def test_a_new_one(self) -> None:
        layer = self.layer()
        assert layer(self.x).item() == 7.0
        layer.weight = nn.Parameter(torch.tensor([[0.0, 0.0, 5.0]]))
        layer.bias = None
        assert layer(self.x).item() == 15.0

    def test_another_dtype(self) -> None:
        assert self.layer().double()(self.x.double()).dtype == torch.float64

    def test_a_parametrization(self) -> None:
        class Doubled(nn.Module):
            def forward(self, weight: Tensor) -> Tensor:
                return 2 * weight

        layer = self.layer()
        nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())
        assert layer(self.x).item() == 13.0

    def test_one_for_a_single_call(self) -> None:
        layer = self.layer()
        given = {"weight": torch.tensor([[0.0, 1.0, 0.0]]), "bias": torch.zeros(1)}
        assert torch.func.functional_call(layer, given, (self.x,)).item() == 2.0
        assert layer(self.x).item() == 7.0

    def test_none(self) -> None:
        layer = self.layer()
        del layer.weight
        with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'weight'"):
            layer(self.x)
