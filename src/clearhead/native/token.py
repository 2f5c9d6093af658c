"""Kernels in C for everything that a pass over one new token computes.

Tensors are contiguous, on the processor and of one dtype. Each function takes what ``takes`` accepts.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad

from clearhead.native import tape
from clearhead.native.compiling import NUMBERS, library

ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh", "gelu", "gelu-tanh", "silu")
PRODUCTS = ("float32", "bfloat16", "float16", "int8", "int4")
FEW_BITS = {torch.int8: "int8", torch.uint8: "int4"}
LANES = 16  # a head's width must be a multiple of it


def takes(x: Tensor, *others: Tensor, axes: int = 1) -> bool:
    """Whether the kernels take x and others. x must be a single token's: all but its last ``axes`` axes have size 1."""
    return (
        not torch.compiler.is_compiling()
        and not torch.is_grad_enabled()
        and x.numel() == math.prod(x.shape[-axes:])
        and x.is_contiguous()
        and all(each.dtype == x.dtype and each.is_cpu and each.is_contiguous() for each in others)
        and usable(x)
    )


class OnDevice(Protocol):
    """Anything with a device and a dtype."""

    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...


def usable(x: OnDevice) -> bool:
    """Whether the kernels can compute with this tensor now."""
    return (
        x.device.type == "cpu"
        and x.dtype in NUMBERS
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not _transformed()
        and library() is not None
    )


def _transformed() -> bool:
    """Whether vmap or forward-mode differentiation is active, which must see each operation."""
    level = torch._C._functorch.maybe_current_level()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    return level is not None or forward_ad._current_level >= 0  # pyright: ignore[reportPrivateUsage]


def embed(id_1: Tensor, weight_VE: Tensor, scales_VG: Tensor | None, width: int, dtype: torch.dtype) -> Tensor | None:
    """x_1E, the embedding's row of an int64 id; None if there is no such row."""
    x_E = torch.empty(*id_1.shape, width, dtype=dtype)
    format = PRODUCTS.index(FEW_BITS[weight_VE.dtype]) if scales_VG is not None else NUMBERS[weight_VE.dtype]
    numbers = (width, len(weight_VE), format)
    done = tape.make(tape.EMBED, NUMBERS[dtype], (id_1, weight_VE, scales_VG, x_E), numbers)
    return x_E if done else None


def scale(x_E: Tensor, factor: float) -> Tensor:
    """x times a factor, which is rounded to its dtype first."""
    y_E = torch.empty_like(x_E)
    tape.make(tape.SCALE, NUMBERS[x_E.dtype], (x_E, y_E), (x_E.numel(),), (factor,))
    return y_E


def placed(x_E: Tensor, table_KE: Tensor, first: int, place: int) -> Tensor:
    """x_E plus row ``first`` + ``place`` of a table."""
    y_E = torch.empty_like(x_E)
    numbers = (x_E.shape[-1], first, NUMBERS[table_KE.dtype])
    tape.make(tape.PLACED, NUMBERS[x_E.dtype], (x_E, table_KE, y_E), numbers, place=place)
    return y_E


def add(a_E: Tensor, b_E: Tensor) -> Tensor:
    """a + b."""
    y_E = torch.empty_like(a_E)
    tape.make(tape.ADD, NUMBERS[a_E.dtype], (a_E, b_E, y_E), (a_E.numel(),))
    return y_E


def layer_norm(x_E: Tensor, weight_E: Tensor, bias_E: Tensor | None, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias."""
    return _normed(x_E, weight_E, bias_E, 0, (eps, 0.0), torch.empty_like(x_E))


def rms_norm(x_XE: Tensor, weight_E: Tensor, eps: float, offset: float = 0.0, *, out: Tensor | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * (offset + weight) over the last axis. out: where the result goes, if not None."""
    return _normed(x_XE, weight_E, None, 1, (eps, offset), torch.empty_like(x_XE) if out is None else out)


def _normed(
    x_XE: Tensor, weight_E: Tensor, bias_E: Tensor | None, kind: int, factors: tuple[float, float], y_XE: Tensor
) -> Tensor:
    numbers = (x_XE.numel() // x_XE.shape[-1], x_XE.shape[-1], kind)
    _done(tape.make(tape.NORM, NUMBERS[x_XE.dtype], (x_XE, weight_E, bias_E, y_XE), numbers, factors), x_XE)
    return y_XE


def product(
    format: str, x_K: Tensor, weight_NK: Tensor, scales_NG: Tensor | None = None, bias_N: Tensor | None = None
) -> Tensor:
    """x W^T + b, as ``products.native.product``."""
    N, K = weight_NK.shape[0], x_K.shape[-1]
    y_N = x_K.new_empty(*x_K.shape[:-1], N)
    tensors = (x_K, weight_NK, scales_NG, bias_N, y_N)
    _done(tape.make(tape.PRODUCT, NUMBERS[x_K.dtype], tensors, (N, K, PRODUCTS.index(format))), x_K)
    return y_N


def rotate(x_XD: Tensor, cosines_KR: Tensor, sines_KR: Tensor, place: int) -> Tensor:
    """The first R numbers of each head rotated by the angles of a place: float32 tables, as ``Turn`` reads them."""
    y_XD = torch.empty_like(x_XD)
    D = x_XD.shape[-1]
    numbers = (x_XD.numel() // D, D, cosines_KR.shape[-1])
    tape.make(tape.ROTATE, NUMBERS[x_XD.dtype], (x_XD, cosines_KR, sines_KR, y_XD), numbers, place=place)
    return y_XD


def extend(k_GD: Tensor, v_GD: Tensor, keys_GKD: Tensor, values_GKD: Tensor, place: int) -> None:
    """Writes the new key and value of each group to a place in the cache."""
    G, _, D = keys_GKD.shape
    numbers = (G, D, keys_GKD.stride(0))
    tape.make(tape.EXTEND, NUMBERS[k_GD.dtype], (k_GD, v_GD, keys_GKD, values_GKD), numbers, place=place)


def attend(
    q_BHQD: Tensor,
    k_BGKD: Tensor,
    v_BGKD: Tensor,
    *,
    scale: float,
    softcap: float | None,
    sinks_H: Tensor | None,
    window: int,
    grows: bool,
) -> Tensor:
    """softmax(score(q, k)) v of one query, which sees all keys or the last ``window``; 0 = all.

    grows: the keys are those up to the new token; else they stay the same in later calls
    """
    o_BHQD = torch.empty_like(q_BHQD, memory_format=torch.contiguous_format)
    (_, H, _, D), (_, G, K, _) = q_BHQD.shape, k_BGKD.shape
    numbers = (H, G, D, k_BGKD.stride(1), window, 0 if grows else K)
    tensors = (q_BHQD, k_BGKD, v_BGKD, sinks_H, o_BHQD)
    _done(tape.make(tape.ATTEND, NUMBERS[q_BHQD.dtype], tensors, numbers, (scale, softcap or 0.0), place=K - 1), k_BGKD)
    return o_BHQD


def activate(h_R: Tensor, activation: str, *, gated: bool) -> Tensor:
    """act(h), or act(gate) * up of the two halves of h."""
    F = h_R.shape[-1] // (2 if gated else 1)
    y_F = h_R.new_empty(*h_R.shape[:-1], F)
    numbers = (F, ACTIVATIONS.index(activation), int(gated))
    tape.make(tape.ACTIVATE, NUMBERS[h_R.dtype], (h_R, y_F), numbers)
    return y_F


def cap(x_V: Tensor, limit: float) -> Tensor:
    """limit * tanh(x / limit)."""
    y_V = torch.empty_like(x_V)
    tape.make(tape.CAP, NUMBERS[x_V.dtype], (x_V, y_V), (x_V.numel(),), (limit,))
    return y_V


def _done(worked: bool, x: Tensor) -> None:
    if not worked:
        raise MemoryError(f"{4 * x.numel():,} bytes")
