"""Rows of a tensor table, read in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import FolderError


@dataclass(frozen=True)
class Row:
    """One tensor of ours and the tensors of theirs that hold it, below one another.

    rows: how many rows each of theirs has, when there are several
    transposed: theirs has inputs as rows (GPT-2's Conv1D)
    """

    ours: str
    theirs: tuple[str, ...]
    rows: tuple[int, ...] = ()
    transposed: bool = False


def to_theirs(table: Sequence[Row], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their names. Every tensor must be in the table."""
    theirs: dict[str, Tensor] = {}
    for row in table:
        whole = ours[row.ours].mT if row.transposed else ours[row.ours]
        pieces = whole.split(row.rows) if row.rows else (whole,)
        theirs.update({name: piece.contiguous() for name, piece in zip(row.theirs, pieces, strict=True)})
    left = ours.keys() - {row.ours for row in table}
    if left:
        raise FolderError(f"the family's table has no place for {', '.join(sorted(left))}")
    return theirs


def to_ours(table: Sequence[Row], theirs: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Their tensors under our names. Raises FolderError naming every missing and left-over tensor."""
    wanted = {name for row in table for name in row.theirs}
    missing, left = sorted(wanted - theirs.keys()), sorted(theirs.keys() - wanted)
    if missing or left:
        faults = [f"missing: {', '.join(missing)}"] if missing else []
        faults += [f"left over: {', '.join(left)}"] if left else []
        raise FolderError(f"{where}: the tensors are not those of the config; {'; '.join(faults)}")
    ours: dict[str, Tensor] = {}
    for row in table:
        pieces = [theirs[name] for name in row.theirs]
        whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        ours[row.ours] = whole.mT.contiguous() if row.transposed else whole
    return ours
