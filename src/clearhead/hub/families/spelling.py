"""What a family's table leaves to the file: other spellings of its names, and parts that only the weights tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from clearhead.errors import FolderError
from clearhead.hub.families.table import Held
from clearhead.model import ModelConfig


@runtime_checkable
class Spelling(Protocol):
    """A family whose released files do not all use the table's names."""

    def spelled(self, config: ModelConfig, name: str) -> str:
        """The table's name for the tensor that a file calls ``name``."""
        ...


@runtime_checkable
class Fitting(Protocol):
    """A family some of whose parts are told by the weights alone: a BERT with or without its heads."""

    def fitted(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """The config with the parts for which there are tensors, given by the files' names."""
        ...


class Respelled:
    """Tensors on the disk under the table's names."""

    def __init__(self, held: Held, names: Mapping[str, str]) -> None:
        self._held, self._names = held, names
        self.shapes = {ours: held.shapes[theirs] for ours, theirs in names.items()}
        self.dtypes = {ours: held.dtypes[theirs] for ours, theirs in names.items()}

    def read(self, into: Mapping[str, Tensor]) -> None:
        """As the files' own."""
        self._held.read({self._names[name]: tensor for name, tensor in into.items()})


def respelled(family: object, config: ModelConfig, held: Held, where: str) -> Respelled:
    """The tensors under the names of the family's table. Raises FolderError when two have the same."""
    names: dict[str, str] = {}
    for name in held.shapes:
        known = family.spelled(config, name) if isinstance(family, Spelling) else name
        if known in names:
            raise FolderError(
                f"{where}: {names[known]} and {name} are two names of one tensor; take the file from where it came"
            )
        names[known] = name
    return Respelled(held, names)


def fitted(family: object, config: ModelConfig, names: Collection[str]) -> ModelConfig:
    """The config with the parts for which there are tensors; as it is in a family that config.json tells whole."""
    return family.fitted(config, names) if isinstance(family, Fitting) else config
