"""LSTM and GRU on PyTorch's fused kernels, which make the products with the recurrent matrices themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from clearhead.model.carried import Carry


class _Unset:
    """Leaves the weights as they are allocated; ``Network.initialise`` fills them."""

    def reset_parameters(self) -> None: ...


class LSTM(_Unset, nn.LSTM):
    """Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000). Gates are stacked as i, f, g, o."""


class GRU(_Unset, nn.GRU):
    """Cho et al. 2014, the reset gate after the product (as in cuDNN). Gates are stacked as r, z, n."""


@dataclass(frozen=True)
class Cell:
    """A kind of recurrence: its fused module, one step of it, its gates, and the vectors it carries on."""

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
    """Places that are read in one go. begins_B1: the rows whose text or document begins with them; None = none."""

    places: slice
    begins_B1: Tensor | None


def pieces(begins_BT: Tensor | None, places: int) -> list[Piece]:
    """Cuts a pass wherever a row begins a text: there its state is emptied, and the fused kernel has no place for it.

    On one core, width 160 and 256, cutting 256 places into 32 pieces takes 1.4 times as long; PyTorch's packed
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


class Recurrence(nn.Module):
    """x_BTE -> h_BTH through one fused layer of a kind in ``CELLS``."""

    def __init__(self, cell: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        self.fused = self.cell.fused(inputs, hidden, batch_first=True)
        self.hidden = hidden

    @property
    def stacks(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """Its weights, each with the heights of the matrices stacked in it: one for each gate."""
        return [(p, (self.hidden,) * self.cell.gates) for name, p in self.fused.named_parameters() if "weight" in name]

    def empty(self, batch: int, like: Tensor) -> Carry:
        """What it carries on before the first place: zeros, in the dtype and on the device of ``like``."""
        return (like.new_zeros(batch, self.hidden),) * self.cell.carried

    def forward(self, x_BTE: Tensor, carried: Carry, cut: Sequence[Piece]) -> tuple[Tensor, Carry]:
        """h_BTH, and what it carries on to the next place."""
        return cast(tuple[Tensor, Carry], self._read(x_BTE, carried, cut))  # pyright: ignore[reportCallIssue] (decorated)

    @torch.compiler.disable  # the compiler does not trace fused recurrences, and the pieces depend on the text
    def _read(self, x_BTE: Tensor, carried: Carry, cut: Sequence[Piece]) -> tuple[Tensor, Carry]:
        outputs: list[Tensor] = []
        for piece in cut:
            if piece.begins_B1 is not None:
                carried = tuple(s_BH.masked_fill(piece.begins_B1, 0.0) for s_BH in carried)
            h_BTH, carried = self._through(x_BTE[:, piece.places], carried)
            outputs.append(h_BTH)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), carried

    def _through(self, x_BTE: Tensor, carried: Carry) -> tuple[Tensor, Carry]:
        if x_BTE.shape[1] == 1 and not torch.is_grad_enabled():
            # 0.2 (LSTM) and 0.7 (GRU) of the fused kernel's time, which prepares its weights anew in each call
            after = self.cell.step(x_BTE[:, 0], self._given(carried), *self._weights())
            carried = after if isinstance(after, tuple) else (after,)
            return carried[0].unsqueeze(1), carried
        # cuDNN gives gradients in training mode only; there is no dropout inside that would depend on it
        self.fused.train(torch.is_grad_enabled())
        h_BTH, after = self.fused(x_BTE, self._given(tuple(s_BH.unsqueeze(0) for s_BH in carried)))
        return h_BTH, tuple(s_1BH[0] for s_1BH in (after if isinstance(after, tuple) else (after,)))

    def _weights(self) -> list[Tensor]:
        f = self.fused
        return [f.weight_ih_l0, f.weight_hh_l0, f.bias_ih_l0, f.bias_hh_l0]

    def _given(self, carried: Carry) -> Carry | Tensor:
        return carried if self.cell.carried > 1 else carried[0]
