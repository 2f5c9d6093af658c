"""Weights in eight or four bits: whole numbers, and a scale for every 32 of them.

w = scale x code, with codes from -127 to 127 or from -8 to 7 and a float16 scale, as in the formats Q8_0 and Q4_0 of
llama.cpp. Products are those of the matrix ``dense``. The kernels in C round the inputs of a few rows to 16 bits with a
scale for every 32, by at most 1.6e-5 of the largest of the 32 (bfloat16 rounds by up to 2e-3 of a number).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead import machine
from clearhead.errors import OptionError
from clearhead.native import FORMATS, library, token
from clearhead.products import native

GROUP = 32
BITS = (8, 4)
KERNELS = {torch.int8: "int8", torch.uint8: "int4"}  # the kernel, by the dtype of the codes
BYTES = {bits: bits / 8 + 2 / GROUP for bits in BITS}  # of each number, with its share of the scale
# For 4 bits: what a group's largest number is divided by for its scale. The sign matters: codes reach -8, but only 7.
DIVISORS = (-8, -7.5, -8.5, -7, -9, -6.5, -9.5, 7, 7.5, 6.5, 8, 6, 8.5)
LARGEST = {8: 127 * 65504, 4: 6 * 65504}  # the largest weights, since a float16 scale is at most 65504
# numbers made dense or rounded at a time, by device; on a processor they stay in its caches
AT_ONCE = {"cpu": 2**19, "cuda": 2**22}


class Codes(NamedTuple):
    """The rows of a weight, rounded.

    codes: int8 codes_NK, or for 4 bits uint8 codes_NJ, J = K / 2: in each group of 32, byte i holds codes i and i + 16,
        each plus 8, the first in the low half
    scales: float16 scales_NG, G = K / 32
    """

    codes: Tensor
    scales: Tensor

    @classmethod
    def empty(cls, shape: Sequence[int], bits: int, device: torch.device | str = "cpu") -> Codes:
        """Memory for the rows of a weight of shape (N, K)."""
        N, K = shape
        width, dtype = (K, torch.int8) if bits == 8 else (K // 2, torch.uint8)
        scales_NG = torch.empty(N, K // GROUP, dtype=torch.float16, device=device)
        codes = machine.on_large_pages(torch.empty(N, width, dtype=dtype, device=device))
        return cls(codes, machine.on_large_pages(scales_NG))

    @classmethod
    def of(cls, codes_NK: Tensor, scales_NG: Tensor, bits: int) -> Codes:
        """int8 codes and float16 scales as they are kept. For 4 bits, the codes lie between -8 and 7."""
        if bits == 8:
            return cls(codes_NK, scales_NG)
        first, second = (codes_NK + 8).to(torch.uint8).unflatten(-1, (-1, GROUP)).chunk(2, dim=-1)
        return cls((first | second << 4).flatten(-2), scales_NG)

    @property
    def bits(self) -> int:
        """8 or 4."""
        return 8 if self.codes.dtype == torch.int8 else 4

    @property
    def integers(self) -> Tensor:
        """int8 codes_NK."""
        if self.bits == 8:
            return self.codes
        codes_NGJ = self.codes.unflatten(-1, (-1, GROUP // 2))
        return torch.cat((codes_NGJ & 15, codes_NGJ >> 4), dim=-1).to(torch.int8).sub_(8).flatten(-2)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """weight_NK."""
        codes_NGI = self.integers.unflatten(-1, (-1, GROUP))
        return (codes_NGI * self.scales.float().unsqueeze(-1)).flatten(-2).to(dtype)

    def split(self, sizes: Sequence[int] | int) -> list[Codes]:
        """The rows in pieces of these sizes, without copying."""
        return [Codes(*each) for each in zip(self.codes.split(sizes), self.scales.split(sizes), strict=True)]

    @classmethod
    def joined(cls, parts: Sequence[Codes]) -> Codes:
        """The rows of several parts, one part after another."""
        return parts[0] if len(parts) == 1 else cls(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def pick(self, ids_N: Tensor) -> Codes:
        """The rows of these ids. Raises IndexError for ids out of range."""
        return Codes(self.codes.index_select(0, ids_N), self.scales.index_select(0, ids_N))

    def product(self, x_K: Tensor, bias_N: Tensor | None = None) -> Tensor:
        """x W^T + b over the last axis of x, in the dtype of x."""
        K = x_K.shape[-1]
        if 0 < x_K.numel() <= token.ROWS * K and self._native(x_K):
            return native.product(KERNELS[self.codes.dtype], x_K, self.codes, self.scales, bias_N)
        pieces = self.split(_rows_at_once(K, self.codes.device))
        y_N = torch.cat([F.linear(x_K, each.dense(x_K.dtype)) for each in pieces], dim=-1)
        return y_N if bias_N is None else y_N + bias_N

    def _native(self, x_K: Tensor) -> bool:
        """Whether the kernel takes this product: on a processor, without gradients."""
        return (
            not (torch.is_grad_enabled() and x_K.requires_grad)
            and self.codes.is_cpu
            and x_K.dtype in FORMATS
            and not torch.compiler.is_compiling()
            and library() is not None
        )


class Quantised(nn.Module):
    """A weight in few bits, in place of an ``nn.Parameter``. dtype: that of the weight it stands for."""

    codes: Tensor
    scales: Tensor

    def __init__(self, codes: Codes, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("codes", codes.codes)
        self.register_buffer("scales", codes.scales)
        self.dtype = dtype

    @property
    def held(self) -> Codes:
        """The codes with their scales."""
        codes, scales = self._buffers["codes"], self._buffers["scales"]  # reading attributes takes 1.3 us
        assert codes is not None
        assert scales is not None
        return Codes(codes, scales)

    @property
    def shape(self) -> torch.Size:
        """(N, K)."""
        return torch.Size((self.scales.shape[0], self.scales.shape[1] * GROUP))

    @property
    def device(self) -> torch.device:
        """Where the codes are."""
        return self.codes.device

    def dense(self) -> Tensor:
        """weight_NK in ``dtype``."""
        return self.held.dense(self.dtype)

    def extra_repr(self) -> str:
        """Shape and bits."""
        return f"{tuple(self.shape)}, bits={self.held.bits}"


def dense(weight: Tensor | Quantised) -> Tensor:
    """A weight as a tensor, whatever it is kept as."""
    return weight.dense() if isinstance(weight, Quantised) else weight


def split(weight_NK: Tensor | Quantised, sizes: Sequence[int]) -> Sequence[Tensor | Codes]:
    """A weight in pieces of these numbers of rows, without copying."""
    return weight_NK.held.split(sizes) if isinstance(weight_NK, Quantised) else weight_NK.split_with_sizes(list(sizes))


def fits(shape: tuple[int, ...]) -> bool:
    """Whether a weight can be quantised: a matrix whose rows are whole groups."""
    return len(shape) == 2 and shape[1] % GROUP == 0 and shape[0] > 0


def quantised(weight_NK: Tensor, bits: int) -> Quantised:
    """Rounds a weight to 8 or 4 bits.

    8 bits: a group's scale is its largest magnitude / 127. 4 bits: its largest number divided by one of ``DIVISORS``,
    the one with the smallest sum of squared errors.
    """
    weight_NK = weight_NK.detach()
    check_size(weight_NK, bits)
    made = Codes.empty(weight_NK.shape, bits)
    step = _rows_at_once(weight_NK.shape[1], weight_NK.device)
    for numbers, (codes, scales_NG) in zip(weight_NK.split(step), made.split(step), strict=True):
        w_NGI = numbers.float().unflatten(1, (-1, GROUP))
        scales_NG.copy_(best_scales(w_NGI, bits))
        rounded_NK = codes_of(w_NGI, scales_NG, bits).flatten(1).to(torch.int8)
        codes.copy_(Codes.of(rounded_NK, scales_NG, bits).codes)
    return Quantised(made, weight_NK.dtype)


def _rows_at_once(width: int, device: torch.device) -> int:
    return max(1, AT_ONCE.get(device.type, AT_ONCE["cuda"]) // width)


def check_size(weight_NK: Tensor, bits: int) -> None:
    """Raises OptionError for numbers whose scales would not fit into float16."""
    largest = max(abs(float(end)) for end in torch.aminmax(weight_NK))
    if largest > LARGEST[bits]:
        raise OptionError(f"bits {bits}: weights up to {largest:.3g} are too large for their scales; leave bits out")


def codes_of(w_NGI: Tensor, scales_NG: Tensor, bits: int) -> Tensor:
    """The nearest codes, as floats."""
    least, most = (-127, 127) if bits == 8 else (-8, 7)
    scales = scales_NG.float().unsqueeze(-1)
    return torch.where(scales == 0, 0.0, w_NGI / scales).round_().clamp_(least, most)


def best_scales(w_NGI: Tensor, bits: int) -> Tensor:
    """The scales_NG of float32 numbers in groups."""
    if bits == 8:
        return w_NGI.abs().amax(dim=-1) / 127
    at = w_NGI.abs().argmax(dim=-1, keepdim=True)
    largest_NG = w_NGI.gather(-1, at).squeeze(-1)
    best_NG, error_NG = torch.zeros_like(largest_NG), w_NGI.square().sum(dim=-1)
    for divisor in DIVISORS:
        scales_NG = (largest_NG / divisor).half().float()
        errors_NG = (w_NGI - codes_of(w_NGI, scales_NG, 4) * scales_NG.unsqueeze(-1)).square_().sum(dim=-1)
        better_NG = errors_NG < error_NG
        best_NG, error_NG = torch.where(better_NG, scales_NG, best_NG), torch.where(better_NG, errors_NG, error_NG)
    return best_NG
