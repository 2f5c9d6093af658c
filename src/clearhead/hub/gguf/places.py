"""Where each tensor of a family is in a GGUF file, and how its layout differs there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.hub.families.table import Row
from clearhead.hub.gguf.architectures import Architecture
from clearhead.model import DecoderConfig


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor in the file.

    turned: (out, in), where the family's is (in, out)
    heads: number of heads, if rotation pairs neighbouring rows (the family's are half a head apart); else 0
    offset: how much larger the file's numbers are than the family's
    """

    name: str
    turned: bool = False
    heads: int = 0
    offset: float = 0.0

    def order(self, rows: int) -> Tensor | None:
        """The family's row for each row of the file; None if they are the same."""
        if not self.heads:
            return None
        return torch.arange(rows).view(self.heads, 2, -1).transpose(1, 2).flatten()


def places(architecture: Architecture, table: Iterable[Row], config: DecoderConfig) -> dict[str, Place]:
    """The place of each tensor, by the family's names. Raises ConfigError for one that has none."""
    rows = [row for row in table if row.ours is not None]
    names = architecture.names(rows, config.layers)
    turned = {name for row in rows if row.transposed for name in row.theirs}
    found: dict[str, Place] = {}
    for name, place in names.items():
        kind = place.split(".")[-2]
        heads = {"attn_q": config.attention.heads, "attn_k": config.attention.kv_heads}.get(kind, 0)
        found[name] = Place(
            name=place,
            turned=name in turned,
            heads=heads if architecture.swapped else 0,
            offset=architecture.offset if kind.endswith("norm") else 0.0,
        )
    return found
