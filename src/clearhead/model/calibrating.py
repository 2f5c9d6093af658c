"""Rounding for the inputs that a text gives (GPTQ): later columns make up for the error of earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby

import torch
from torch import Tensor, nn

from clearhead.errors import ClearheadError, OptionError
from clearhead.model.evaluating import evaluating
from clearhead.model.protocol import Network
from clearhead.model.quantising import Matrix, matrices, rounded_to
from clearhead.products import compensated

_LAYER = re.compile(r".*?\bblocks\.\d+\.")


def calibrate(network: Network, rows: Sequence[Tensor], bits: int) -> None:
    """Rounds the linear layers, in place, layer after layer (Frantar et al. 2022); embeddings and output stay.

    Each is rounded for the inputs that it gets from the rows once all layers before it are rounded. A layer that the
    rows do not reach, such as a pooler, is rounded to nearest.

    rows: ids_BT each

    Raises OptionError for a translator, a model that is rounded already, or another number of bits, ClearheadError if a
    layer's inputs are not finite.
    """
    if "text to text" in network.abilities:
        raise OptionError("calibrate: this model translates, and pairs cannot be given; round it without calibrating")
    if rounded_to(network) is not None:
        raise OptionError(f"calibrate: the model is in {rounded_to(network)} bits already; load it without bits")
    chosen = matrices(network, bits, edges=False)
    for _, together in groupby(chosen, key=_layer):
        names = list(together)
        read = network.hidden if _LAYER.match(names[0]) else network  # an encoder's prediction head follows the layers
        for name, moments_KK in zip(
            names, _moments(network, rows, [chosen[name] for name in names], read), strict=True
        ):
            if not moments_KK.isfinite().all():
                raise ClearheadError(
                    f"calibrate: the inputs of {name} are not finite: the computation overflowed the model's dtype; "
                    "use a wider one (--dtype float32)"
                )
            chosen[name].hold(compensated(chosen[name].layer.matrix, moments_KK, bits))


def _layer(name: str) -> str:
    """The prefix that the names of a block's matrices share; the name itself outside blocks."""
    found = _LAYER.match(name)
    return found[0] if found else name


def _moments(
    network: Network, rows: Sequence[Tensor], layers: Sequence[Matrix], read: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """The sum of x x^T over the inputs x_K of each layer, when the network reads the rows."""
    widths = {each.layer: each.layer.weight.shape[1] for each in layers}
    sums: dict[nn.Module, Tensor] = {layer: torch.zeros(K, K, device=network.device) for layer, K in widths.items()}

    def seen(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        x_NK = given[0].flatten(0, -2).float()
        sums[layer].addmm_(x_NK.T, x_NK)

    with ExitStack() as stack:
        for each in layers:
            stack.callback(each.layer.register_forward_pre_hook(seen).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(evaluating(network))
        for ids_BT in rows:
            read(ids_BT)
    return [sums[each.layer] for each in layers]
