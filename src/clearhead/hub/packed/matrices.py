"""Our matrices, straight from the whole numbers of a packed folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clearhead.errors import FolderError
from clearhead.hub.families.table import Row, kept
from clearhead.hub.packed.numbers import Numbers
from clearhead.hub.packed.unpacked import Unpacked
from clearhead.products import Codes


class Matrices:
    """The matrices of a packed folder that can stay whole numbers.

    names: those on disk, by the names of the family's table
    """

    def __init__(self, unpacked: Unpacked, names: Mapping[str, str]) -> None:
        self._unpacked, self._names = unpacked, names

    def bits(self, table: Sequence[Row]) -> dict[str, int]:
        """The bits of each of our matrices that can stay as it is, by name."""
        return {ours: bits for ours, row in kept(table).items() if (bits := self._bits(row)) is not None}

    def _bits(self, row: Row) -> int | None:
        """The bits that all parts share, if the row only joins them; else None."""
        found = {self._unpacked.bits(self._names[name]) for name in row.theirs if name in self._names}
        plain = not (row.transposed or row.heads or row.stacked or row.interleaved or row.leading)
        return found.pop() if plain and len(found) == 1 else None

    def read_rounded(self, rows: Mapping[str, Row], keep: Callable[[str, Codes], None]) -> None:
        """Reads some of ours. keep: gets each with its name. Raises FolderError for numbers that cannot stay so."""
        owners = {self._names[name]: ours for ours, row in rows.items() for name in row.theirs}
        come: dict[str, dict[str, Codes]] = {ours: {} for ours in rows}

        def add(name: str, numbers: Numbers) -> None:
            ours = owners[name]
            codes = numbers.rounded(self._unpacked.bits(name) or 8)
            if codes is None:
                raise FolderError(
                    f"{self._unpacked.where}: {name} has scales that a float16 does not hold exactly; choose a dtype "
                    "(float32 or bfloat16) to have all matrices as plain numbers"
                )
            come[ours][name] = codes
            row = rows[ours]
            if len(come[ours]) == len(row.theirs):
                parts = come.pop(ours)
                keep(ours, Codes.joined([parts[self._names[each]] for each in row.theirs]))

        self._unpacked.read_numbers(set(owners), add)
