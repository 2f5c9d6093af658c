"""Which weights of a network can be kept in few bits, and putting them there."""

from __future__ import annotations

from torch import Tensor

from clearhead.errors import OptionError
from clearhead.model.parts.experts import Router
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.protocol import Network
from clearhead.products import BITS, Quantised, fits, quantised


def check_bits(bits: int | None) -> None:
    """Raises OptionError unless it is None or a number of bits that weights can be rounded to."""
    if bits is not None and bits not in BITS:
        raise OptionError(
            f"bits {bits}: weights can be rounded to {' or '.join(map(str, BITS))} bits; without the option they are "
            "used as dtype says"
        )


def matrices(network: Network) -> dict[str, Linear | Embedding]:
    """The layers whose weight can be quantised, by the weight's name.

    These are the linear layers and embeddings whose rows are whole groups of 32. Left as they are: routers, which are
    small and decide much, and what is no linear layer: stacks of experts, fused recurrences, positions, norms, biases.
    """
    return {
        f"{path}.weight": layer
        for path, layer in network.named_modules()
        if isinstance(layer, Linear | Embedding) and not isinstance(layer, Router) and fits(tuple(layer.weight.shape))
    }


def rounded_to(network: Network) -> int | None:
    """The bits that weights of the network are rounded to; None if they are not."""
    return next((each.held.bits for each in network.modules() if isinstance(each, Quantised)), None)


def round_weight(layer: Linear | Embedding, weight: Tensor, bits: int) -> None:
    """Gives the layer this weight, rounded to 8 or 4 bits, in place of its own."""
    del layer.weight
    layer.weight = quantised(weight, bits)  # pyright: ignore[reportAttributeAccessIssue] (a Quantised stands for it)


def quantise(network: Network, bits: int) -> None:
    """Rounds the weights of ``matrices`` to 8 or 4 bits, in place. The network can no longer be trained.

    Raises OptionError for another number of bits.
    """
    check_bits(bits)
    for layer in matrices(network).values():
        round_weight(layer, layer.matrix, bits)
