"""The kernels in C: products as in float64, whose bits do not depend on what else is computed.

For weights in few bits, of inputs rounded to 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from clearhead.native import FORMATS as KINDS
from clearhead.native import library, token
from clearhead.products import native, product, quantised
from clearhead.products.few_bits import Codes

DTYPES = list(KINDS)
NAMES = [*KINDS.values(), "int8", "int4"]

here = pytest.mark.skipif(library() is None, reason="no C compiler, or a processor without AVX2")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stored(format: str, weight_NK: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """A weight as the kernel takes it, its scales, and its numbers in float64."""
    if format.startswith("int"):
        codes = quantised(weight_NK, int(format[3:])).held
        return *codes, codes.dense(torch.float64)
    dtype = next(dtype for dtype, name in KINDS.items() if name == format)
    return weight_NK.to(dtype), None, weight_NK.to(dtype).double()


def read(format: str, x_TK: Tensor) -> Tensor:
    """Float32 inputs as the kernel reads them, in float64: for whole numbers, in 16 bits with a scale for every 32."""
    if not format.startswith("int"):
        return x_TK.double()
    x_TGI = x_TK.unflatten(-1, (-1, 32))
    scales_TG1 = x_TGI.abs().amax(dim=-1, keepdim=True) / 32767
    codes_TGI = (x_TGI * (1 / scales_TG1)).round()
    return (codes_TGI.double() * scales_TG1.double()).flatten(-2)


@pytest.fixture
def fresh() -> Iterator[None]:
    """The library is looked for again, in the test and after it."""
    library.cache_clear()
    yield
    library.cache_clear()


@here
class TestProducts:
    @pytest.mark.parametrize("width", [1, 31, 32, 77])
    @pytest.mark.parametrize("format", KINDS.values())
    def test_rows_of_any_width(self, format: str, width: int) -> None:
        weight, _, numbers = stored(format, random(37, width))
        x, bias = random(13, width, seed=1), random(37, seed=2)
        together = native.product(format, x, weight, None, bias)
        expected = x.double() @ numbers.T + bias.double()
        torch.testing.assert_close(together.double(), expected, rtol=0, atol=2e-6 * width**0.5)
        for row in range(13):
            assert torch.equal(native.product(format, x[row : row + 1], weight, None, bias)[0], together[row])

    @pytest.mark.parametrize("rows", range(1, token.ROWS + 1))
    @pytest.mark.parametrize("format", NAMES)
    def test_they_are_those_of_the_definition(self, format: str, rows: int) -> None:
        weight, scales, numbers = stored(format, random(37, 13 * 32))
        x, bias = random(rows, 13 * 32, seed=1), random(37, seed=2)
        found = native.product(format, x, weight, scales, bias)
        expected = read(format, x) @ numbers.T + bias.double()
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=13 * 32 * 2**-24 * 20)

    @pytest.mark.parametrize("format", ["int8", "int4"])
    def test_inputs_are_rounded_by_half_of_a_32767th_of_the_largest_of_32(self, format: str) -> None:
        weight, scales, numbers = stored(format, torch.eye(96))  # so that each output is one input, rounded
        x = random(5, 96, seed=1) * torch.tensor([1e-30, 1e-3, 1.0, 1e3, 1e30])[:, None]
        found = native.product(format, x, weight, scales).double()
        largest_TG1 = x.double().unflatten(-1, (-1, 32)).abs().amax(dim=-1, keepdim=True)
        errors_TGI = (found - x.double() @ numbers.T).abs().unflatten(-1, (-1, 32))
        half = 0.501 if format == "int8" else 0.6  # with 4 bits, 8 times the sum of 32 inputs is taken off in float32
        assert (errors_TGI <= largest_TG1 / 32767 * half).all()
        assert (errors_TGI.amax(dim=-1, keepdim=True) > largest_TG1 / 32767 * 0.3).all()  # not all are exact

    @pytest.mark.parametrize("format", NAMES)
    def test_a_row_alone_has_the_bits_it_has_among_others(self, format: str) -> None:
        weight, scales, _ = stored(format, random(50, 128))
        x = random(13, 128, seed=1)
        together = native.product(format, x, weight, scales)
        for row in range(13):
            assert torch.equal(native.product(format, x[row : row + 1], weight, scales)[0], together[row])
        part = slice(7, 31)
        some = native.product(format, x, weight[part], None if scales is None else scales[part])
        assert torch.equal(some, together[:, part])

    @pytest.mark.parametrize("format", NAMES)
    def test_the_number_of_threads_changes_no_bit(self, format: str) -> None:
        weight, scales, _ = stored(format, random(50, 128))
        x = random(3, 128, seed=1)
        found = list[Tensor]()
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(native.product(format, x, weight, scales))
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    @pytest.mark.parametrize("format", NAMES)
    def test_half_precision_is_rounded_once_at_the_end(self, format: str, dtype: torch.dtype) -> None:
        weight, scales, _ = stored(format, random(200, 64))
        x, bias = random(5, 64, seed=1).to(dtype), random(200, seed=2).to(dtype)
        found = native.product(format, x, weight, scales, bias)
        expected = native.product(format, x.float(), weight, scales, bias.float())
        assert torch.equal(found, expected.to(dtype))

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_what_is_not_finite_stays_so(self, dtype: torch.dtype) -> None:
        x = torch.zeros(3, 32, dtype=dtype)
        x[0, 3], x[1, 3] = float("nan"), float("inf")
        found = native.product("float32", x, torch.ones(4, 32))
        assert found[0].isnan().all()
        assert (found[1] == float("inf")).all()
        assert (found[2] == 0).all()

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("format", ["int8", "int4"])
    def test_in_few_bits_what_is_not_finite_is_not_a_number(self, format: str, dtype: torch.dtype) -> None:
        x = torch.zeros(4, 320, dtype=dtype)
        x[0, 3], x[1, 300], x[3, 7] = float("nan"), -float("inf"), 2e-45
        weight, scales, _ = stored(format, torch.ones(4, 320))
        found = native.product(format, x, weight, scales)
        assert found[:2].isnan().all()
        assert (found[2:] == 0).all()

    def test_axes_in_front_and_inputs_that_are_not_contiguous(self) -> None:
        weight, x = random(5, 64), random(64, 2, 3, seed=1).permute(1, 2, 0)
        found = native.product("float32", x, weight)
        assert found.shape == (2, 3, 5)
        torch.testing.assert_close(found.double(), x.double() @ weight.double().T, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("bits", [8, 4])
def test_without_a_compiler_products_are_those_of_the_dense_matrix(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: Codes = quantised(random(40, 64), bits).held
    x, bias = random(2, 3, 64, seed=1), random(40, seed=2)
    expected = x.double() @ codes.dense(torch.float64).T + bias.double()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert library() is None
    torch.testing.assert_close(product(x, codes, bias).double(), expected, rtol=0, atol=1e-5)
