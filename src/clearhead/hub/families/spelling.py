"""What a table cannot say: other spellings of tensor names, and parts that only the weights reveal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from clearhead.errors import FolderError
from clearhead.hub.families.table import Held
from clearhead.model import ModelConfig


@runtime_checkable
class Spelling(Protocol):
    """A family some of whose released files use other names than the table."""

    def spelled(self, config: ModelConfig, name: str) -> str:
        """The table's name for the tensor called ``name`` in a file."""
        ...


@runtime_checkable
class Fitting(Protocol):
    """A family whose weights alone show which parts a model has: a BERT with or without its heads."""

    def fitted(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """The config with exactly the parts that have tensors; ``names`` are those in the files."""
        ...


class Respelled:
    """Tensors on disk under the table's names. names: those on disk, by the table's."""

    def __init__(self, held: Held, names: Mapping[str, str]) -> None:
        self._held, self.names = held, names
        self.shapes = {ours: held.shapes[theirs] for ours, theirs in names.items()}
        self.dtypes = {ours: held.dtypes[theirs] for ours, theirs in names.items()}

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = lambda name: None) -> None:
        """As ``Held.read``."""
        ours = {theirs: name for name, theirs in self.names.items() if name in into}
        self._held.read(_Renamed(into, ours), lambda theirs: done(ours[theirs]))


class _Renamed(Mapping[str, Tensor]):
    """Tensors under their names on disk, each asked for when it is needed."""

    def __init__(self, into: Mapping[str, Tensor], ours: Mapping[str, str]) -> None:
        self._into, self._ours = into, ours

    def __getitem__(self, theirs: str) -> Tensor:
        return self._into[self._ours[theirs]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ours)

    def __len__(self) -> int:
        return len(self._ours)


def respelled(family: object, config: ModelConfig, held: Held, where: str) -> Respelled:
    """The tensors under the names of the family's table. Raises FolderError if two get the same name."""
    names: dict[str, str] = {}
    for name in held.shapes:
        known = family.spelled(config, name) if isinstance(family, Spelling) else name
        if known in names:
            raise FolderError(
                f"{where}: {names[known]} and {name} are two names of one tensor; download the file again"
            )
        names[known] = name
    return Respelled(held, names)


def fitted(family: object, config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config with exactly the parts that have tensors; unchanged if config.json always says."""
    return family.fitted(config, names) if isinstance(family, Fitting) else config
