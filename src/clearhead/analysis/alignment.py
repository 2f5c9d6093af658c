"""Which words of a text a translation came from: cross-attention, one row for each token that was written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import OptionError
from clearhead.notebook import Displayed
from clearhead.tap import Site
from clearhead.watching import TextRecord


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment(Displayed):
    """weights_TS: what each written token was predicted from, the mean of a layer's heads; rows sum to 1.

    written, read: labels of the T tokens of the translation and of the S tokens of the text
    layer: counted from 0
    """

    text: str | None
    translation: str | None
    written: tuple[str, ...]
    read: tuple[str, ...]
    weights_TS: Tensor
    layer: int


def alignment(record: TextRecord, layer: int | None = None) -> Alignment:
    """The alignment of a translation with its text, from the record of a translator.

    The place before a token predicts it, so that place's row is the token's. ``layer`` is the last but one by default,
    whose heads together align best (Garg et al. 2019, 4.1).
    Raises OptionError for a record without cross-attention, a layer that does not exist, or an empty translation.
    """
    layers = [site.layer for site in record.seen() if site.kind == "cross"]
    if not layers:
        raise OptionError("alignment: the record has no cross-attention; look at a text with a model that translates")
    layer = layers[max(0, len(layers) - 2)] if layer is None else layer
    if layer not in layers:
        raise OptionError(f"alignment: there is no layer {layer} with cross-attention; there are 0 to {layers[-1]}")
    tokens, source = record.tokenized("decoder"), record.tokenized("encoder")
    if len(tokens.tokens) < 2:
        raise OptionError("alignment: the translation is empty; give one (target, --target)")
    site = Site(layer, "cross")
    heads = [record.map(site, head)[: len(tokens.tokens) - 1] for head in range(record.heads(site))]
    return Alignment(
        text=source.text,
        translation=tokens.text,
        written=tuple(tokens.tokens[1:]),
        read=tuple(source.tokens),
        weights_TS=torch.stack(heads).mean(dim=0),
        layer=layer,
    )
