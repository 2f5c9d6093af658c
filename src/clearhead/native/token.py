"""Kernels in C for everything that a pass over one new token in each of a few rows computes.

Tensors are contiguous, on the processor and of one dtype. Each function takes what ``takes`` accepts. R counts rows.
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
ROWS = 16  # the most rows that a caller may offer


def takes(x: Tensor, *others: Tensor, axes: int = 1, most: int = 1) -> bool:
    """Whether the kernels take x and others: at most ``most`` rows with one token each, which x's last ``axes`` hold.

    With more tokens in a row, as in a prompt, PyTorch is faster.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.is_grad_enabled()
        and 0 < x.numel() <= most * math.prod(x.shape[-axes:])
        and (x.dim() == axes or x.shape[-axes - 1] == 1)
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


def embed(ids_R: Tensor, weight_VE: Tensor, scales_VG: Tensor | None, width: int, dtype: torch.dtype) -> Tensor | None:
    """x_RE, the embedding's rows of int64 ids; None if an id has no row."""
    x_RE = torch.empty(*ids_R.shape, width, dtype=dtype)
    format = PRODUCTS.index(FEW_BITS[weight_VE.dtype]) if scales_VG is not None else NUMBERS[weight_VE.dtype]
    numbers = (width, len(weight_VE), format)
    tensors = (ids_R, weight_VE, scales_VG, x_RE)
    done = tape.make(tape.EMBED, NUMBERS[dtype], tensors, numbers, rows=ids_R.numel())
    return x_RE if done else None


def scale(x_RE: Tensor, factor: float) -> Tensor:
    """x times a factor, which is rounded to its dtype first."""
    y_RE = torch.empty_like(x_RE)
    tape.make(tape.SCALE, NUMBERS[x_RE.dtype], (x_RE, y_RE), (x_RE.shape[-1],), (factor,), rows=_rows(x_RE))
    return y_RE


def placed(x_RE: Tensor, table_KE: Tensor, first: int, place: int) -> Tensor:
    """x plus row ``first`` + ``place`` of a table."""
    y_RE = torch.empty_like(x_RE)
    numbers = (x_RE.shape[-1], first, NUMBERS[table_KE.dtype])
    tape.make(tape.PLACED, NUMBERS[x_RE.dtype], (x_RE, table_KE, y_RE), numbers, rows=_rows(x_RE), place=place)
    return y_RE


def add(a_RE: Tensor, b_RE: Tensor) -> Tensor:
    """a + b."""
    y_RE = torch.empty_like(a_RE)
    tape.make(tape.ADD, NUMBERS[a_RE.dtype], (a_RE, b_RE, y_RE), (a_RE.shape[-1],), rows=_rows(a_RE))
    return y_RE


def layer_norm(x_RE: Tensor, weight_E: Tensor, bias_E: Tensor | None, eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias."""
    return _normed(x_RE, weight_E, bias_E, 0, (eps, 0.0), torch.empty_like(x_RE), rows=_rows(x_RE))


def rms_norm(x_RE: Tensor, weight_E: Tensor, eps: float, offset: float = 0.0) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * (offset + weight) over the last axis."""
    return _normed(x_RE, weight_E, None, 1, (eps, offset), torch.empty_like(x_RE), rows=_rows(x_RE))


def head_norm(x_XD: Tensor, weight_D: Tensor, eps: float, offset: float, out_XD: Tensor) -> None:
    """``rms_norm`` of parts of a single token, such as heads; the result goes to ``out``."""
    _normed(x_XD, weight_D, None, 1, (eps, offset), out_XD, rows=1)


def _normed(
    x_XE: Tensor,
    weight_E: Tensor,
    bias_E: Tensor | None,
    kind: int,
    factors: tuple[float, float],
    y_XE: Tensor,
    *,
    rows: int,
) -> Tensor:
    numbers = (x_XE.numel() // x_XE.shape[-1] // rows, x_XE.shape[-1], kind)
    tensors = (x_XE, weight_E, bias_E, y_XE)
    _done(tape.make(tape.NORM, NUMBERS[x_XE.dtype], tensors, numbers, factors, rows=rows), x_XE)
    return y_XE


def product(
    format: str, x_RK: Tensor, weight_NK: Tensor, scales_NG: Tensor | None = None, bias_N: Tensor | None = None
) -> Tensor:
    """x W^T + b, as ``products.native.product``."""
    N, K = weight_NK.shape[0], x_RK.shape[-1]
    y_RN = x_RK.new_empty(*x_RK.shape[:-1], N)
    tensors = (x_RK, weight_NK, scales_NG, bias_N, y_RN)
    numbers = (N, K, PRODUCTS.index(format))
    _done(tape.make(tape.PRODUCT, NUMBERS[x_RK.dtype], tensors, numbers, rows=_rows(x_RK)), x_RK)
    return y_RN


def rotate(x_XD: Tensor, cosines_KR: Tensor, sines_KR: Tensor, place: int) -> Tensor:
    """The first numbers of each head of a token, rotated by the angles of its place, from tables in float32."""
    y_XD = torch.empty_like(x_XD)
    D = x_XD.shape[-1]
    numbers = (x_XD.numel() // D, D, cosines_KR.shape[-1])
    tape.make(tape.ROTATE, NUMBERS[x_XD.dtype], (x_XD, cosines_KR, sines_KR, y_XD), numbers, place=place)
    return y_XD


def extends(k_RG1D: Tensor, v_RG1D: Tensor) -> bool:
    """Whether ``extend`` takes these keys and values: the heads of a row lie one after another."""
    R, G, T, D = k_RG1D.shape
    return (
        T == 1
        and R <= ROWS
        and all(each.stride(3) == 1 and (G == 1 or each.stride(1) == D) for each in (k_RG1D, v_RG1D))
        and k_RG1D.dtype == v_RG1D.dtype
        and v_RG1D.is_cpu
        and usable(k_RG1D)
    )


def extend(k_RG1D: Tensor, v_RG1D: Tensor, keys_RGKD: Tensor, values_RGKD: Tensor, place: int) -> None:
    """Writes each row's new key and value of each group to a place in the cache."""
    R, G, _, D = keys_RGKD.shape
    numbers = (G, D, keys_RGKD.stride(1), k_RG1D.stride(0), v_RG1D.stride(0), keys_RGKD.stride(0))
    tensors = (k_RG1D, v_RG1D, keys_RGKD, values_RGKD)
    tape.make(tape.EXTEND, NUMBERS[k_RG1D.dtype], tensors, numbers, rows=R, place=place)


def attends(q_BHQD: Tensor, sinks_H: Tensor | None) -> bool:
    """Whether ``attend`` takes these queries: the heads of a row lie one after another."""
    H, D = q_BHQD.shape[1], q_BHQD.shape[3]
    alike = sinks_H is None or (sinks_H.dtype == q_BHQD.dtype and sinks_H.is_cpu and sinks_H.is_contiguous())
    return alike and q_BHQD.stride(3) == 1 and (H == 1 or q_BHQD.stride(1) == D) and usable(q_BHQD)


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
    """softmax(score(q, k)) v of a query of each row, which sees all keys or the last ``window``; 0 = all.

    Rows are the batch's, each with its keys; or, of one text, its queries, which share them. Their heads lie one after
    another.
    grows: the keys are those up to the new token; else those of the source
    """
    (B, H, Q, D), (_, G, K, _) = q_BHQD.shape, k_BGKD.shape
    o_BHQD = q_BHQD.new_empty(B, Q, H, D).transpose(1, 2)
    between = (q_BHQD.stride(0), k_BGKD.stride(0)) if Q == 1 else (q_BHQD.stride(2), 0)
    numbers = (H, G, D, k_BGKD.stride(1), window, int(not grows), *between)
    tensors = (q_BHQD, k_BGKD, v_BGKD, sinks_H, o_BHQD)
    factors, rows = (scale, softcap or 0.0), B * Q
    dtype = NUMBERS[q_BHQD.dtype]
    _done(tape.make(tape.ATTEND, dtype, tensors, numbers, factors, rows=rows, place=K - 1, source=K), k_BGKD)
    return o_BHQD


def activate(h_RH: Tensor, activation: str, *, gated: bool) -> Tensor:
    """act(h), or act(gate) * up of the two halves of h."""
    F = h_RH.shape[-1] // (2 if gated else 1)
    y_RF = h_RH.new_empty(*h_RH.shape[:-1], F)
    numbers = (F, ACTIVATIONS.index(activation), int(gated))
    tape.make(tape.ACTIVATE, NUMBERS[h_RH.dtype], (h_RH, y_RF), numbers, rows=_rows(h_RH))
    return y_RF


def cap(x_RV: Tensor, limit: float) -> Tensor:
    """limit * tanh(x / limit)."""
    y_RV = torch.empty_like(x_RV)
    tape.make(tape.CAP, NUMBERS[x_RV.dtype], (x_RV, y_RV), (x_RV.shape[-1],), (limit,), rows=_rows(x_RV))
    return y_RV


def _rows(x_RE: Tensor) -> int:
    return x_RE.numel() // x_RE.shape[-1]


def _done(worked: bool, x: Tensor) -> None:
    if not worked:
        raise MemoryError(f"{4 * x.numel():,} bytes")
