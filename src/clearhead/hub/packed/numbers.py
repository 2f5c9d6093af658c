"""Whole numbers of 4 and 8 bits in int32 words, and what a packed matrix is once its words are taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.products import GROUP, Codes

Shape = tuple[int, ...]

WORD = 32  # bits


def from_words(words_RW: Tensor, bits: int) -> Tensor:
    """uint8 numbers_RC, the lowest bits of a word first."""
    bytes_RB = words_RW.contiguous().view(torch.uint8)
    return bytes_RB if bits == 8 else torch.stack((bytes_RB & 15, bytes_RB >> 4), dim=-1).flatten(1)


def to_words(numbers_RC: Tensor, bits: int) -> Tensor:
    """int32 words_RW of uint8 numbers; a row must fill whole words."""
    if bits == 4:
        low, high = numbers_RC.unflatten(1, (-1, 2)).unbind(-1)
        numbers_RC = low | high << 4
    return numbers_RC.contiguous().view(torch.int32)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A matrix: codes_NK x scales_NG. groups_K: the group of each column, if they do not follow each other.

    codes: int16
    """

    codes: Tensor
    scales: Tensor
    groups: Tensor | None = None

    def dense(self) -> Tensor:
        """weight_NK in float32."""
        scales_NG = self.scales.float()
        if self.groups is not None:
            return self.codes * scales_NG[:, self.groups.long()]
        size = self.codes.shape[1] // scales_NG.shape[1]
        return (self.codes.unflatten(1, (-1, size)) * scales_NG.unsqueeze(-1)).flatten(1)

    def rounded(self, bits: int) -> Codes | None:
        """The same numbers in groups of 32; None if they cannot be kept so."""
        least, most = (-8, 7) if bits == 4 else (-128, 127)
        size = self.codes.shape[1] // self.scales.shape[1]
        scales_NG = self.scales.to(torch.float16)
        low, high = torch.aminmax(self.codes)
        same = torch.equal(scales_NG.float(), self.scales.float())
        if self.groups is not None or size % GROUP or low < least or high > most or not same:
            return None
        return Codes.of(self.codes.to(torch.int8), scales_NG.repeat_interleave(size // GROUP, dim=1), bits)


def bits_kept(bits: int, group: int, *, zeros: bool) -> int | None:
    """The bits that ``Numbers.rounded`` needs; None if it cannot hold them.

    Numbers of 4 bits less a zero point of 4 bits fit into 8; those of 8 bits do not.
    """
    if group % GROUP or (zeros and bits == 8):
        return None
    return 8 if zeros else bits


def groups_in(K: int, group: int) -> int:
    """How many groups of this size (0: all of it) a row has; 0 if it cannot be cut so."""
    return 1 if not group else 0 if K % group else K // group


def agree(shapes: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> bool:
    """Whether the shapes that are present are as wanted."""
    return all(shapes[name] == shape for name, shape in wanted.items() if name in shapes)


def centred(codes_NK: Tensor, zeros_NG: Tensor) -> Tensor:
    """The codes less the zero point of their group."""
    size = codes_NK.shape[1] // zeros_NG.shape[1]
    return (codes_NK.unflatten(1, (-1, size)) - zeros_NG.unsqueeze(-1)).flatten(1)
