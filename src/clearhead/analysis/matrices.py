"""The matrices of one attention head, as parts of the stacked ones that a model holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor

from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import Network
from clearhead.model.parts.attention import Attention
from clearhead.tap import Site


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadWeights:
    """One head's matrices as the model holds them: q_D = query_DE x_E, and the head adds out_ED o_D to the stream.

    x is what the norm in front gives. Query heads of a group have the same key and value matrices.
    """

    query_DE: Tensor
    key_DE: Tensor
    value_DE: Tensor
    out_ED: Tensor
    query_bias_D: Tensor | None
    key_bias_D: Tensor | None
    value_bias_D: Tensor | None


def head_weights(model: LanguageModel, layer: int, head: int) -> HeadWeights:
    """The query, key, value and output matrices of one head; ``circuit`` has their products, with norms folded in.

    Raises OptionError for a layer or head that the model does not have, or a layer without such matrices.
    """
    check_model(model, "head_weights")
    part = attention_at(model.network, site_of(model.network, layer, head, "head_weights"), "head_weights")
    matrices, biases = projections(part, head)
    return HeadWeights(
        query_DE=matrices["query"],
        key_DE=matrices["key"],
        value_DE=matrices["value"],
        out_ED=part.out.matrix.detach()[:, columns_of(part, head)],
        query_bias_D=biases["query"],
        key_bias_D=biases["key"],
        value_bias_D=biases["value"],
    )


def attention_at(network: Network, site: Site, what: str) -> Attention:
    """The attention at a site. Raises OptionError, naming ``what`` needs it, if it has no matrices of its own."""
    for part in network.modules():
        if isinstance(part, Attention) and part.site == site:
            return part
    raise OptionError(
        f"{what}: {site} has no query, key and value matrices of its own; see its weights with clearhead look"
    )


def site_of(network: Network, layer: int, head: int, what: str) -> Site:
    """The attention of a layer that has this head. Raises OptionError if there is none."""
    sites = {site.layer: site for site in network.sites() if site.kind == "self"}
    if not sites:
        raise OptionError(f"{what}: this model has no attention; see what it predicts with clearhead next")
    if layer not in sites:
        raise OptionError(f"layer {layer}: the model has layers {min(sites)} to {max(sites)}")
    heads = network.sites()[sites[layer]]
    if not 0 <= head < heads:
        raise OptionError(f"head {head}: the model has heads 0 to {heads - 1} in layer {layer}")
    return sites[layer]


def rows_of(part: Attention, head: int) -> dict[str, slice]:
    """The rows of the stacked projections that make a head's query, and the key and value of its group."""
    D, key_head = part.head_width, head * part.kv_heads // part.heads
    firsts = {"query": head, "key": part.heads + key_head, "value": part.heads + part.kv_heads + key_head}
    return {name: slice(first * D, (first + 1) * D) for name, first in firsts.items()}


def projections(part: Attention, head: int) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
    """A head's query, key and value matrices (D, E), and their biases (D,)."""
    bias = cast(Tensor | None, part.qkv.bias)
    own = rows_of(part, head)
    matrices = {name: part.qkv.matrix[rows].detach() for name, rows in own.items()}
    return matrices, {name: None if bias is None else bias[rows].detach() for name, rows in own.items()}


def columns_of(part: Attention, head: int) -> slice:
    """The columns of the output projection that read a head."""
    return slice(head * part.head_width, (head + 1) * part.head_width)
