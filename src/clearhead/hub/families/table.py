"""The rows of a family's tensor table, used in both directions: theirs to ours, ours to theirs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from clearhead import machine
from clearhead.errors import FolderError

Shape = tuple[int, ...]

LISTED = 5  # names per message: a wrong hidden_size affects all of them


@dataclass(frozen=True)
class Row:
    """One of our tensors and the tensors of theirs that, concatenated by rows, make it.

    ours: None for tensors that are dropped on purpose and may be missing (masks kept as buffers); never written
    rows: the number of rows of each of theirs, if there are several
    transposed: theirs is (in, out), not (out, in) (GPT-2's Conv1D)
    heads: the number of heads, if theirs groups query, key and value by head (GPT-NeoX); 0 otherwise
    stacked: ours is a stack of matrices; theirs are the parts of the first, then those of the second, ... (experts)
    interleaved: theirs is (in, out) and alternates gate and up, which ours has one after the other (GPT-OSS)
    leading: theirs has one more axis, of size 1, in front (Marian's bias on logits)
    copies: names under which a file may repeat the same numbers (a tied output layer)
    repeats: the copies are written, too, because transformers does not know that they are one matrix
    """

    ours: str | None
    theirs: tuple[str, ...]
    rows: tuple[int, ...] = ()
    transposed: bool = False
    heads: int = 0
    stacked: bool = False
    interleaved: bool = False
    leading: bool = False
    copies: tuple[str, ...] = ()
    repeats: bool = False


class Held(Protocol):
    """Tensors on disk, in one file or several."""

    @property
    def shapes(self) -> Mapping[str, Shape]: ...
    @property
    def dtypes(self) -> Mapping[str, torch.dtype]: ...

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = ...) -> None: ...


def kept(table: Sequence[Row]) -> dict[str, Row]:
    """The rows that have a tensor of ours, by its name."""
    return {row.ours: row for row in table if row.ours is not None}


def to_theirs(table: Sequence[Row], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their names. Raises FolderError for one that is not in the table."""
    theirs: dict[str, Tensor] = {}
    rows = kept(table)
    for name, row in rows.items():
        parts = _parts(row, ours[name])
        theirs.update(zip(row.theirs, (_joined(row, part) for part in parts), strict=True))
        theirs.update((copy, ours[name]) for copy in row.copies if row.repeats)
    if left := ours.keys() - rows.keys():
        raise FolderError(f"the family's table has no place for {', '.join(sorted(left))}")
    return theirs


def check(table: Sequence[Row], theirs: Mapping[str, Shape], shapes: Mapping[str, Shape], where: str) -> list[str]:
    """The names of their tensors to read; ``shapes`` are those of our tensors, ``theirs`` those on disk.

    Raises FolderError naming every tensor that is missing, left over or misshapen.
    """
    rows = kept(table)
    wanted = [name for row in rows.values() for name in row.theirs]
    known = {name for row in table for name in row.theirs + row.copies}
    faults = [_listed("missing", set(wanted) - theirs.keys()), _listed("left over", theirs.keys() - known)]
    if not any(faults):
        faults = [_listed("of another shape", _misshapen(rows, theirs, shapes))]
    if any(faults):
        raise FolderError(f"{where}: the tensors do not match the config; {'; '.join(filter(None, faults))}")
    return wanted


def to_ours(
    table: Sequence[Row],
    held: Held,
    shapes: Mapping[str, Shape],
    dtype: torch.dtype,
    where: str,
    keep: Callable[[str, Tensor], None],
) -> None:
    """Reads their tensors, after ``check``, as ours in ``dtype``; each goes straight to where it belongs.

    keep: gets the name of one of ours and the tensor as soon as it is whole

    Raises FolderError for numbers that are not finite, and for a copy that differs from the tensor it should repeat.
    """
    rows = kept(table)
    places = _Places(rows, shapes, dtype)
    copies = {(name, copy): _digest(held, copy, places.ours(name)) for name, copy in _repeated(rows, held.shapes)}
    faults: list[str] = []  # told after reading, which finds out whether the file was altered

    def done(theirs: str) -> None:
        found = places.filled(theirs)
        if found is None:
            return
        name, tensor = found
        row = rows[name]
        faults.extend(
            f"{copy} differs from {row.theirs[0]}, and the config says that they are one matrix; "
            'set "tie_word_embeddings": false in config.json if they were trained separately'
            for (of, copy), digest in copies.items()
            if of == name and digest != _sha256(tensor)
        )
        if not _finite(tensor):
            faulty = next(n for n, part in zip(row.theirs, _parts(row, tensor), strict=True) if not _finite(part))
            faults.append(
                f"{faulty} has numbers that are not finite in {str(dtype)[6:]}; either they are too "
                "large for it (choose another --dtype), or the file is damaged (copy it again)"
            )
        if not faults:
            keep(name, tensor)

    held.read(places, done)
    if faults:
        raise FolderError(f"{where}: {faults[0]}")


class _Places(Mapping[str, Tensor]):
    """Where each of their tensors goes: a part of one of ours, allocated when its first part is asked for."""

    def __init__(self, rows: Mapping[str, Row], shapes: Mapping[str, Shape], dtype: torch.dtype) -> None:
        self._rows, self._shapes, self._dtype = rows, shapes, dtype
        self._owners = {theirs: name for name, row in rows.items() for theirs in row.theirs}
        self._open: dict[str, tuple[Tensor, set[str]]] = {}  # ours, with the names of the parts to come

    def ours(self, name: str) -> Tensor:
        """One of our tensors."""
        if name not in self._open:
            whole = machine.on_large_pages(torch.empty(tuple(self._shapes[name]), dtype=self._dtype))
            self._open[name] = (whole, set(self._rows[name].theirs))
        return self._open[name][0]

    def filled(self, theirs: str) -> tuple[str, Tensor] | None:
        """Notes that a part was filled. If it was the last, returns the name of ours and the tensor, and lets it go."""
        name = self._owners[theirs]
        self._open[name][1].discard(theirs)
        return None if self._open[name][1] else (name, self._open.pop(name)[0])

    def __getitem__(self, theirs: str) -> Tensor:
        name = self._owners[theirs]
        row = self._rows[name]
        return _parts(row, self.ours(name))[row.theirs.index(theirs)]

    def __contains__(self, theirs: object) -> bool:
        return theirs in self._owners

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)


def _finite(tensor: Tensor) -> bool:
    # One NaN makes both ends NaN. Takes a sixth of the time of the infinity norm.
    return not tensor.numel() or all(math.isfinite(end) for end in torch.aminmax(tensor))


def _repeated(rows: Mapping[str, Row], theirs: Mapping[str, Shape]) -> Iterator[tuple[str, str]]:
    """Our tensors, each with the copies of it that are on disk."""
    for name, row in rows.items():
        yield from ((name, copy) for copy in row.copies if copy in theirs)


def _digest(held: Held, copy: str, place: Tensor) -> bytes:
    """The hash of a copy, read into the place of its tensor: holding both would take twice the memory."""
    held.read({copy: place})
    return _sha256(place)


def _sha256(tensor: Tensor) -> bytes:
    return hashlib.sha256(tensor.view(-1).view(torch.uint8).numpy().data).digest()


def _parts(row: Row, whole: Tensor) -> Sequence[Tensor]:
    """The parts of our tensor that theirs hold, as views."""
    if row.heads:
        return (whole.unflatten(0, (3, row.heads, -1)).transpose(0, 1),)
    if row.interleaved:
        halves = whole.unflatten(1, (2, -1))
        return (halves.transpose(1, -1),) if whole.dim() == 3 else (halves.mT,)
    if row.leading:
        return (whole[None],)
    turned = whole.mT if row.transposed else whole
    each = turned.unbind() if row.stacked else (turned,)
    return [part for one in each for part in (one.split(row.rows) if row.rows else (one,))]


def _joined(row: Row, part: Tensor) -> Tensor:
    """A part in their layout."""
    return part.flatten(0, 2) if row.heads else part.flatten(-2) if row.interleaved else part


def _misshapen(rows: Mapping[str, Row], theirs: Mapping[str, Shape], shapes: Mapping[str, Shape]) -> Iterator[str]:
    for ours, row in rows.items():
        parts = _parts(row, torch.empty(tuple(shapes[ours]), device="meta"))
        for name, part in zip(row.theirs, parts, strict=True):
            shape = tuple(_joined(row, part).shape)
            if theirs[name] != shape:
                yield f"{name} is {theirs[name]} and should be {shape}"
        for copy in row.copies:
            if theirs.get(copy, shapes[ours]) != shapes[ours]:
                yield f"{copy} is {theirs[copy]} and should be {tuple(shapes[ours])}"


def _listed(fault: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - LISTED:,} more" if len(ordered) > LISTED else ""
    return f"{fault}: {', '.join(ordered[:LISTED])}{more}" if ordered else ""
