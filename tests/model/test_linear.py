"""Products of a few rows: whichever routine takes them, they are those of the definition in float64."""

from __future__ import annotations

import pytest
import torch

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
