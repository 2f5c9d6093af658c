"""Weights in 8 and 4 bits: numbers as in llama.cpp's formats, products as those of the dense matrix."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import OptionError
from clearhead.native import token
from clearhead.products import Quantised, dense, few_bits, fits, product, quantised
from clearhead.products.few_bits import Codes

KINDS = {8: gguf.GGMLQuantizationType.Q8_0, 4: gguf.GGMLQuantizationType.Q4_0}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def blocks(weight: Tensor, bits: int) -> Any:
    """The bytes of a weight in llama.cpp's format, by the ``gguf`` library: blocks of a float16 scale and 32 codes."""
    return gguf.quants.quantize(weight.numpy(), KINDS[bits])


def unpacked(raw: Any, bits: int, rows: int) -> Codes:
    """The same codes and scales in our layout, which is the same but for the order of scales and codes."""
    each = raw.reshape(rows, -1, 34 if bits == 8 else 18)
    scales = torch.from_numpy(np.ascontiguousarray(each[:, :, :2]).view(np.float16)[:, :, 0].copy())
    codes = torch.from_numpy(np.ascontiguousarray(each[:, :, 2:]).reshape(rows, -1))
    return Codes(codes.view(torch.int8) if bits == 8 else codes, scales)


@pytest.mark.parametrize("bits", [8, 4])
class TestNumbers:
    def test_codes_and_scales_mean_what_they_mean_to_gguf(self, bits: int) -> None:
        weight = random(7, 96)
        raw = blocks(weight, bits)
        theirs = torch.from_numpy(gguf.quants.dequantize(raw, KINDS[bits]))
        assert torch.equal(unpacked(raw, bits, 7).dense(torch.float32), theirs)

    def test_rounding_loses_no_more_than_ggufs(self, bits: int) -> None:
        weight = torch.cat((random(20, 256), random(20, 256, seed=1) ** 3, random(20, 256, seed=2).abs()))
        theirs = torch.from_numpy(gguf.quants.dequantize(blocks(weight, bits), KINDS[bits]))
        ours = quantised(weight, bits).dense()
        assert (ours - weight).square().sum() <= (theirs - weight).square().sum()

    def test_every_number_is_within_half_a_step(self, bits: int) -> None:
        weight = random(9, 64)
        made = quantised(weight, bits)
        steps = made.scales.float().abs().repeat_interleave(32, dim=1)
        within = (made.dense() - weight).abs() <= steps * (0.5 + 1e-3)
        # 4 bits may cut off a group's ends, where that makes the sum of squared errors smaller
        assert within.all() if bits == 8 else within.float().mean() > 0.9

    def test_zeros_stay_zeros_and_signs_stay(self, bits: int) -> None:
        weight = torch.zeros(3, 64)
        weight[1, :32], weight[2, 40] = 0.5, -3.0
        found = quantised(weight, bits).dense()
        assert torch.equal(found[0], torch.zeros(64))
        torch.testing.assert_close(found[1, :32], weight[1, :32], rtol=0.002, atol=0)
        torch.testing.assert_close(found[2, 40], weight[2, 40], rtol=0.002, atol=0)
        assert found.count_nonzero() == 33

    def test_a_large_weight_is_rounded_a_piece_at_a_time(self, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
        weight = random(50, 64)
        whole = quantised(weight, bits)
        monkeypatch.setitem(few_bits.AT_ONCE, "cpu", 640)
        pieces = quantised(weight, bits)
        assert torch.equal(pieces.codes, whole.codes)
        assert torch.equal(pieces.scales, whole.scales)
        x = random(40, 64, seed=3)
        torch.testing.assert_close(product(x, pieces), x @ whole.dense().T, rtol=1e-5, atol=1e-6)

    def test_weights_whose_scale_no_float16_holds_are_refused(self, bits: int) -> None:
        with pytest.raises(OptionError, match=rf"^bits {bits}: weights up to 1e\+08 are too large for their scales;"):
            quantised(torch.full((2, 32), 1e8), bits)


@pytest.mark.parametrize("bits", [8, 4])
class TestProducts:
    @pytest.mark.parametrize("rows", [1, 3, 16, 17, 40])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
    def test_they_are_those_of_the_dense_matrix(self, bits: int, rows: int, dtype: torch.dtype) -> None:
        weight = quantised(random(23, 96), bits)
        x, bias = random(rows, 96, seed=1).to(dtype), random(23, seed=2).to(dtype)
        expected = x.double() @ weight.held.dense(torch.float64).T + bias.double()
        found = product(x, weight, bias)
        assert found.dtype == dtype
        # the kernel rounds inputs up to 0.08 by up to 1.3e-6, and a row's weights have magnitudes that sum up to 2
        few = 3e-6 if rows <= token.ROWS else 1e-7
        tolerance = {torch.float64: 1e-12, torch.float32: few, torch.bfloat16: 4e-4}[dtype]
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)

    def test_gradients_of_the_input_are_those_of_the_dense_matrix(self, bits: int) -> None:
        weight = quantised(random(23, 96), bits)
        x = random(2, 96, seed=1).requires_grad_()
        product(x, weight).sum().backward()
        torch.testing.assert_close(x.grad, weight.dense().sum(0).expand(2, 96))

    def test_nothing_of_no_rows(self, bits: int) -> None:
        assert product(torch.ones(2, 0, 96), quantised(random(23, 96), bits)).shape == (2, 0, 23)

    def test_picked_rows_are_those_of_the_dense_matrix(self, bits: int) -> None:
        weight = quantised(random(23, 96), bits)
        ids = torch.tensor([22, 0, 5, 5])
        assert torch.equal(weight.held.pick(ids).dense(torch.float32), weight.dense()[ids])
        for wrong in (23, -1):
            with pytest.raises(IndexError):
                weight.held.pick(torch.tensor([wrong]))

    def test_it_stands_in_the_place_of_a_parameter(self, bits: int) -> None:
        weight = quantised(random(23, 96).bfloat16(), bits)
        assert (weight.shape, weight.dtype, weight.device) == ((23, 96), torch.bfloat16, torch.device("cpu"))
        assert dense(weight).dtype == torch.bfloat16
        layer = nn.Module()
        layer.weight = weight
        assert set(layer.state_dict()) == {"weight.codes", "weight.scales"}
        assert list(layer.parameters()) == []
        assert "bits=" in repr(layer)
        assert isinstance(weight, Quantised)


def test_what_can_be_rounded() -> None:
    assert fits((5, 64))
    assert not fits((5, 63))
    assert not fits((64,))
    assert not fits((3, 64, 64))
