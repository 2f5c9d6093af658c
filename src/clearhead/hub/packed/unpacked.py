"""The packed tensors of a folder as the matrices that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import ConfigError, FolderError, shown
from clearhead.hub.families.table import Held, Shape
from clearhead.hub.packed.numbers import Numbers
from clearhead.hub.packed.schemes import Scheme


@dataclass(frozen=True, kw_only=True)
class _Matrix:
    """A packed matrix. parts: the names of its tensors, by ending. dtype: of its scales"""

    scheme: Scheme
    parts: Mapping[str, str]
    shape: Shape
    dtype: torch.dtype

    @classmethod
    def found(cls, scheme: Scheme, base: str, held: Held, where: str) -> _Matrix:
        """Raises FolderError for tensors that are missing or do not fit together."""
        names = {ending: f"{base}.{ending}" for ending in (*scheme.endings, *scheme.optional)}
        parts = {ending: name for ending, name in names.items() if name in held.shapes}
        missing = [names[ending] for ending in scheme.endings if ending not in parts]
        if missing:
            raise FolderError(f"{where}: {missing[0]} is missing, and {names[scheme.first]} is there; copy it again")
        for ending, name in parts.items():
            known = scheme.dtypes.get(ending)
            dtype = held.dtypes[name]
            if not dtype.is_floating_point if known is None else dtype != known:
                wanted = "floating point" if known is None else str(known).removeprefix("torch.")
                raise FolderError(
                    f"{where}: {name} is {str(dtype).removeprefix('torch.')}, not {wanted}; copy it again"
                )
        shapes = {ending: held.shapes[name] for ending, name in parts.items()}
        flat = all(len(shape) == 2 for ending, shape in shapes.items() if ending not in ("weight_shape", "g_idx"))
        shape = scheme.shape(shapes) if flat else None
        if shape is None:
            listed = ", ".join(f"{name} {held.shapes[name]}" for name in parts.values())
            raise FolderError(f"{where}: the shapes do not fit together: {listed}; copy it again")
        return cls(scheme=scheme, parts=parts, shape=shape, dtype=held.dtypes[names[scheme.scales]])


class Unpacked:
    """A folder's tensors under the names they would have if it were not packed. All are plain if ``scheme`` is None.

    Raises FolderError if none is packed, though there is a scheme, or if tensors are missing or do not fit together.

    shapes, dtypes: by name; a matrix has the dtype of its scales
    packed: the names of the matrices. where: for errors
    """

    def __init__(self, held: Held, scheme: Scheme | None, where: str) -> None:
        self._held, self.where = held, where
        self._matrices: dict[str, _Matrix] = {}
        if scheme is not None:
            ending = f".{scheme.first}"
            bases = [name.removesuffix(ending) for name in held.shapes if name.endswith(ending)]
            self._matrices = {f"{base}.weight": _Matrix.found(scheme, base, held, where) for base in bases}
            if not bases:
                raise FolderError(
                    f"{where}: config.json says that matrices are packed, and no tensor's name ends in {ending}; copy "
                    "both again"
                )
        self.packed = self._matrices.keys()
        taken = {part for each in self._matrices.values() for part in each.parts.values()}
        plain = [name for name in held.shapes if name not in taken]
        matrices = self._matrices.items()
        self.shapes = {name: held.shapes[name] for name in plain} | {name: each.shape for name, each in matrices}
        self.dtypes = {name: held.dtypes[name] for name in plain} | {name: each.dtype for name, each in matrices}

    def bits(self, name: str) -> int | None:
        """The bits in which a tensor can stay; None if it cannot."""
        found = self._matrices.get(name)
        return found.scheme.kept if found and found.dtype in (torch.float16, torch.bfloat16) else None

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = lambda name: None) -> None:
        """As ``Held.read``. Raises FolderError for numbers that contradict the format."""

        def keep(name: str, numbers: Numbers) -> None:
            into[name].copy_(numbers.dense().view(into[name].shape))
            done(name)

        self._read(into, done, {name for name in self.packed if name in into}, keep)

    def read_numbers(self, names: set[str], keep: Callable[[str, Numbers], None]) -> None:
        """Reads matrices as whole numbers. keep: gets each with its name. Raises FolderError as ``read`` does."""
        self._read({}, lambda name: None, names, keep)

    def _read(
        self,
        into: Mapping[str, Tensor],
        done: Callable[[str], None],
        wanted: set[str],
        keep: Callable[[str, Numbers], None],
    ) -> None:
        owners = {part: name for name in wanted for part in self._matrices[name].parts.values()}
        buffers = _Buffers(self._held, into, owners)
        come: dict[str, set[str]] = {name: set() for name in wanted}

        def filled(part: str) -> None:
            name = owners.get(part)
            if name is None:
                done(part)
                return
            come[name].add(part)
            if len(come[name]) == len(self._matrices[name].parts):
                matrix = self._matrices[name]
                parts = {ending: buffers.pop(each) for ending, each in matrix.parts.items()}
                try:
                    numbers = matrix.scheme.numbers(parts)
                except ConfigError as error:
                    raise FolderError(f"{self.where}: {shown(name)}: {error}; copy it again") from None
                keep(name, numbers)

        self._held.read(buffers, filled)


class _Buffers(Mapping[str, Tensor]):
    """Where tensors go: plain ones where they are wanted, the parts of matrices into memory of their own."""

    def __init__(self, held: Held, into: Mapping[str, Tensor], owners: Mapping[str, str]) -> None:
        self._held, self._into, self._owners = held, into, owners
        self._made: dict[str, Tensor] = {}

    def pop(self, part: str) -> Tensor:
        return self._made.pop(part)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._owners:
            return self._into[name]
        if name not in self._made:
            self._made[name] = torch.empty(self._held.shapes[name], dtype=self._held.dtypes[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners.keys() | self._into.keys())

    def __len__(self) -> int:
        return len(self._owners.keys() | self._into.keys())
