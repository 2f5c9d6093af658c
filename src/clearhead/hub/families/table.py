"""Rows of a tensor table, read in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import FolderError
from clearhead.tensorfile import TensorFile

FLOATING = {torch.float32, torch.bfloat16, torch.float16, torch.float64}
LISTED = 20  # names in one message; a config of a thousand layers has many more


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
        theirs.update(zip(row.theirs, _parts(row, ours[row.ours]), strict=True))
    left = ours.keys() - {row.ours for row in table}
    if left:
        raise FolderError(f"the family's table has no place for {', '.join(sorted(left))}")
    return theirs


def to_ours(
    table: Sequence[Row], file: TensorFile, shapes: Mapping[str, Sequence[int]], where: str
) -> dict[str, Tensor]:
    """Their tensors under our names, whose shapes are ``shapes``, each read straight to where it belongs.

    Raises FolderError naming every tensor that is missing, left over or of another shape, and when the dtypes are not
    one floating-point dtype.
    """
    wanted = {name for row in table for name in row.theirs}
    faults = [_listed("missing", wanted - file.shapes.keys()), _listed("left over", file.shapes.keys() - wanted)]
    if not any(faults):
        faults = [_listed("of another shape", _misshapen(table, file.shapes, shapes)), _mixed(file.dtypes)]
    if any(faults):
        raise FolderError(f"{where}: the tensors are not those of the config; {'; '.join(filter(None, faults))}")
    (dtype,) = set(file.dtypes.values())
    ours = {row.ours: torch.empty(tuple(shapes[row.ours]), dtype=dtype) for row in table}
    file.read({name: part for row in table for name, part in zip(row.theirs, _parts(row, ours[row.ours]), strict=True)})
    return ours


def _parts(row: Row, whole: Tensor) -> Sequence[Tensor]:
    """The parts of our tensor that theirs hold, as views."""
    turned = whole.mT if row.transposed else whole
    return turned.split(row.rows) if row.rows else (turned,)


def _misshapen(
    table: Sequence[Row], theirs: Mapping[str, tuple[int, ...]], shapes: Mapping[str, Sequence[int]]
) -> Iterator[str]:
    for row in table:
        parts = _parts(row, torch.empty(tuple(shapes[row.ours]), device="meta"))
        for name, part in zip(row.theirs, parts, strict=True):
            if theirs[name] != part.shape:
                yield f"{name} is {theirs[name]} and should be {tuple(part.shape)}"


def _mixed(dtypes: Mapping[str, torch.dtype]) -> str:
    found = set(dtypes.values())
    if len(found) == 1 and found <= FLOATING:
        return ""
    names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in found))
    return f"of dtype {names}; all must be float32, or all bfloat16, float16 or float64"


def _listed(fault: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - LISTED:,} more" if len(ordered) > LISTED else ""
    return f"{fault}: {', '.join(ordered[:LISTED])}{more}" if ordered else ""
