"""Rounding for the inputs that a text gives (GPTQ): what one column loses, the columns after it make up for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby

import torch
from torch import Tensor, nn

from clearhead.errors import OptionError
from clearhead.model.evaluating import evaluating
from clearhead.model.protocol import Network
from clearhead.model.quantising import Matrix, matrices, rounded_to
from clearhead.products import compensated

_LAYER = re.compile(r".*?\bblocks\.\d+\.")


def calibrate(network: Network, rows: Sequence[Tensor], bits: int) -> None:
    """Rounds the linear layers, in place, layer after layer (Frantar et al. 2022); embeddings and output stay.

    Each is rounded for the inputs that it gets from the rows when all layers before it are rounded already.

    rows: ids_BT each

    Raises OptionError for a translator, a model that is rounded already, or another number of bits.
    """
    if "text to text" in network.abilities:
        raise OptionError("calibrate: this model translates, and pairs cannot be given; round it without calibrating")
    if rounded_to(network) is not None:
        raise OptionError(f"calibrate: the model is in {rounded_to(network)} bits already; load it without bits")
    chosen = matrices(network, bits, edges=False)
    for _, names in groupby(chosen, key=_layer):
        together = [chosen[name] for name in names]
        for each, moments_KK in zip(together, _moments(network, rows, together), strict=True):
            each.hold(compensated(each.layer.matrix, moments_KK, bits))


def _layer(name: str) -> str:
    """What the names of a layer's matrices begin with."""
    found = _LAYER.match(name)
    return found[0] if found else name


def _moments(network: Network, rows: Sequence[Tensor], layers: Sequence[Matrix]) -> list[Tensor]:
    """The sum of x x^T over the inputs x_K of each layer."""
    sums: dict[nn.Module, Tensor] = {
        each.layer: torch.zeros(each.layer.weight.shape[1], each.layer.weight.shape[1]) for each in layers
    }

    def seen(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        x_NK = given[0].flatten(0, -2).float()
        sums[layer].addmm_(x_NK.T, x_NK)

    with ExitStack() as stack:
        for each in layers:
            stack.callback(each.layer.register_forward_pre_hook(seen).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(network))
        for ids_BT in rows:
            network.hidden(ids_BT)
    return [sums[each.layer] for each in layers]
