"""Which weights of a network can be kept in few bits, and putting them there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from clearhead.errors import OptionError
from clearhead.model.parts.experts import Router
from clearhead.model.parts.linear import Embedding, Linear
from clearhead.model.protocol import Network
from clearhead.products import BITS, BYTES, Quantised, fits, quantised


def check_bits(bits: int | None) -> None:
    """Raises OptionError unless it is None or a number of bits that weights can be rounded to."""
    if bits is not None and bits not in BITS:
        raise OptionError(
            f"bits {bits}: weights can be rounded to {' or '.join(map(str, BITS))} bits; without the option they are "
            "used as dtype says"
        )


@dataclass(frozen=True, eq=False)
class Matrix:
    """A layer whose weight is to be rounded, and to how many bits."""

    layer: Linear | Embedding
    bits: int

    def round(self, weight_FE: Tensor) -> None:
        """Gives the layer this weight, rounded, in place of its own."""
        self.hold(quantised(weight_FE, self.bits))

    def hold(self, weight_FE: Quantised) -> None:
        """Gives the layer a weight that is rounded already."""
        del self.layer.weight
        self.layer.weight = weight_FE  # pyright: ignore[reportAttributeAccessIssue] (stands for it)

    @property
    def bytes(self) -> int:
        """What the rounded weight takes."""
        return int(self.layer.weight.shape.numel() * BYTES[self.bits])


def matrices(network: Network, bits: int, *, edges: bool = True) -> dict[str, Matrix]:
    """What is rounded when a network is kept in 8 or 4 bits, by the weight's name. edges: also embeddings and output.

    These are the linear layers and embeddings whose rows are whole groups of 32. Embeddings and output layers keep at
    least 8 bits: in a model trained here, 4 bits for them caused two thirds of the divergence (docs/LOG.md). Left as
    they are: routers, which are small and decide much, and all that is not a linear layer: stacks of experts, fused
    recurrences, positions, norms, biases. Raises OptionError for another number of bits.
    """
    check_bits(bits)
    found: dict[str, Matrix] = {}
    for path, layer in network.named_modules():
        edge = isinstance(layer, Embedding) or layer is network.head
        chosen = edges if edge else isinstance(layer, Linear) and not isinstance(layer, Router)
        if chosen and isinstance(layer, Linear | Embedding) and fits(tuple(layer.weight.shape)):
            found[f"{path}.weight"] = Matrix(layer, 8 if edge else bits)
    return found


def quantise(network: Network, bits: int) -> None:
    """Rounds the weights of ``matrices``, in place. The network can no longer be trained."""
    for each in matrices(network, bits).values():
        each.round(each.layer.matrix)


def packs(network: Network, bits: int) -> bool:
    """Whether all rounded weights have this many bits and none is an embedding or the output layer."""
    kept = {id(each.layer.weight) for each in matrices(network, bits, edges=False).values()}
    rounded = [each for each in network.modules() if isinstance(each, Quantised)]
    return all(id(each) in kept and each.held.bits == bits for each in rounded)


def rounded_to(network: Network) -> int | None:
    """The fewest bits that weights of the network are rounded to; None if they are not."""
    return min((each.held.bits for each in network.modules() if isinstance(each, Quantised)), default=None)
