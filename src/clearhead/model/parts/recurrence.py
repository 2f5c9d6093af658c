"""LSTM and GRU on PyTorch's fused kernels, which compute products and gates of all places in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from clearhead.model.carried import Carry
from clearhead.model.parts.uncompiled import uncompiled


class _Unset:
    """Leaves the weights uninitialised; ``Network.initialise`` fills them."""

    def reset_parameters(self) -> None: ...


class LSTM(_Unset, nn.LSTM):
    """Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000). Gates are stacked as i, f, g, o."""


class GRU(_Unset, nn.GRU):
    """Cho et al. 2014, with the reset gate after the product (as in cuDNN). Gates are stacked as r, z, n."""


@dataclass(frozen=True)
class Cell:
    """A kind of recurrence: fused module, function for one step, number of gates, number of vectors carried on."""

    fused: type[Any]
    step: Any
    gates: int
    carried: int


CELLS = {
    "LSTM": Cell(LSTM, torch.lstm_cell, gates=4, carried=2),
    "GRU": Cell(GRU, torch.gru_cell, gates=3, carried=1),
}


@dataclass(frozen=True, eq=False)
class Piece:
    """Places read in one call. begins_B1: rows in which a text or document begins there; None if in none."""

    places: slice
    begins_B1: Tensor | None


def pieces(begins_BT: Tensor | None, places: int) -> list[Piece]:
    """Cuts a pass wherever a text or document begins in some row: the fused kernel cannot reset a state midway.

    On one core, with widths 160 and 256, cutting 256 places into 32 pieces takes 1.4 times as long, PyTorch's packed
    sequences 3.4 times.
    """
    if begins_BT is None:
        return [Piece(slice(0, places), None)]
    cuts = cast(list[int], begins_BT.any(dim=0).nonzero().flatten().tolist())
    stops = [*(cut for cut in cuts if cut), places]
    starts = [0, *stops[:-1]]
    at = set(cuts)
    return [
        Piece(slice(start, stop), begins_BT[:, start, None] if start in at else None)
        for start, stop in zip(starts, stops, strict=True)
    ]


@cache
def _autocasts(dtype: torch.dtype) -> bool:
    """Whether a fused LSTM runs on this processor under autocast, which calls oneDNN; its kernel needs AVX-512."""
    try:
        with torch.autocast("cpu", dtype):
            nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


class Recurrence(nn.Module):
    """x_BTE -> h_BTH: one fused layer of a kind in ``CELLS``."""

    def __init__(self, cell: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        self.fused = self.cell.fused(inputs, hidden, batch_first=True)
        self.hidden = hidden

    @property
    def stacks(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """Its weights, each with the row counts of the matrices stacked in it, one per gate."""
        return [(p, (self.hidden,) * self.cell.gates) for name, p in self.fused.named_parameters() if "weight" in name]

    def empty(self, batch: int, like: Tensor) -> Carry:
        """The state before the first place: zeros, with dtype and device of ``like``."""
        return (like.new_zeros(batch, self.hidden),) * self.cell.carried

    def forward(
        self, x_BTE: Tensor, carried: Carry, cut: Sequence[Piece], first: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """h_BTH, and the state for the next place. ``first`` is the state where a text begins; None = zeros."""
        return self._read(x_BTE, carried, cut, first or self.empty(len(x_BTE), x_BTE))

    @uncompiled  # the compiler does not trace fused recurrences, and the pieces depend on the text
    def _read(self, x_BTE: Tensor, carried: Carry, cut: Sequence[Piece], first: Carry) -> tuple[Tensor, Carry]:
        outputs: list[Tensor] = []
        for piece in cut:
            begins_B1 = piece.begins_B1
            if begins_B1 is not None:
                carried = tuple(torch.where(begins_B1, a, b) for a, b in zip(first, carried, strict=True))
            h_BTH, carried = self._through(x_BTE[:, piece.places], carried)
            outputs.append(h_BTH)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), carried

    def _through(self, x_BTE: Tensor, carried: Carry) -> tuple[Tensor, Carry]:
        if x_BTE.shape[1] == 1 and not torch.is_grad_enabled():
            # 0.2 (LSTM) and 0.7 (GRU) of the time of the fused kernel, which prepares its weights in every call
            after = self.cell.step(x_BTE[:, 0], self._given(carried), *self._weights())
            carried = after if isinstance(after, tuple) else (after,)
            return carried[0].unsqueeze(1), carried
        # cuDNN computes gradients only in training mode; there is no dropout in here that the mode would change
        self.fused.train(torch.is_grad_enabled())
        wide = (
            x_BTE.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and not _autocasts(torch.get_autocast_dtype("cpu"))
        )
        if wide:
            x_BTE, carried = x_BTE.float(), tuple(s_BH.float() for s_BH in carried)
        with torch.autocast("cpu", enabled=False) if wide else nullcontext():
            h_BTH, after = self.fused(x_BTE, self._given(tuple(s_BH.unsqueeze(0) for s_BH in carried)))
        return h_BTH, tuple(s_1BH[0] for s_1BH in (after if isinstance(after, tuple) else (after,)))

    def initialise(self, generator: torch.Generator) -> None:
        """Fills the weights so that gradients pass through the gates.

        Input matrices have std 1/sqrt(inputs), recurrent matrices are orthogonal per gate (Saxe et al. 2014), biases
        are 0, except for the forget gates of an LSTM, where they are 1 (Jozefowicz et al. 2015, 4.3).
        """
        f, H = self.fused, self.hidden
        nn.init.normal_(f.weight_ih_l0, 0.0, 1 / math.sqrt(f.input_size), generator=generator)
        with torch.no_grad():
            for gate in f.weight_hh_l0.split(H):
                nn.init.orthogonal_(gate, generator=generator)
            for bias in (f.bias_ih_l0, f.bias_hh_l0):
                bias.zero_()
            if self.cell is CELLS["LSTM"]:
                f.bias_ih_l0[H : 2 * H] = 1.0

    def _weights(self) -> list[Tensor]:
        f = self.fused
        return [f.weight_ih_l0, f.weight_hh_l0, f.bias_ih_l0, f.bias_hh_l0]

    def _given(self, carried: Carry) -> Carry | Tensor:
        return carried if self.cell.carried > 1 else carried[0]
