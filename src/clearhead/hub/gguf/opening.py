"""Opens a GGUF file as a model: config, tokenizer and tensors as those of a folder in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ConfigError, FolderError, shown
from clearhead.hub.families import Family, parse_config
from clearhead.hub.families.table import Row, Shape
from clearhead.hub.gguf.architectures import ARCHITECTURES, FACTORS, Architecture
from clearhead.hub.gguf.file import DTYPES, OURS, GGUFFile, opened_file
from clearhead.hub.gguf.places import Place, places
from clearhead.hub.gguf.vocabulary import opened_tokenizer
from clearhead.hub.kept import named
from clearhead.language_model import Metadata
from clearhead.model import DecoderConfig, ModelConfig
from clearhead.products import Codes
from clearhead.text import Tokenizer


def is_gguf(name: str | Path) -> Path | None:
    """The file that a model's name means, if it is one of llama.cpp's; None if it is something else."""
    path = Path(named(name).name)
    return path if path.suffix == ".gguf" and not path.is_dir() else None


@dataclass(frozen=True, kw_only=True, eq=False)
class GGUFModel:
    """A file checked before its weights are read."""

    family: Family[Any]
    config: ModelConfig
    held: GGUFTensors
    tokenizer: Tokenizer
    metadata: Metadata


@contextmanager
def opened_gguf(path: Path) -> Generator[GGUFModel]:
    """Opens a file and reads everything but its tensors, which can be read inside the block.

    Raises FolderError for a file that is damaged or not supported, MissingExtraError without the gguf library.
    """
    with opened_file(path) as file:
        where, architecture = str(path), _architecture(file)
        prefix = f"{architecture.name}."
        own = {key.removeprefix(prefix): value for key, value in file.metadata.items() if key.startswith(prefix)}
        shapes = {name: stored.shape for name, stored in file.tensors.items()}
        try:
            settings = architecture.settings(own, shapes, _factors(file))
        except ConfigError as error:
            raise FolderError(f"{where}: {error}") from None
        family, config = parse_config(settings, where)
        assert isinstance(config, DecoderConfig)
        if config.layers > len(shapes):  # checked before naming the tensors of so many layers
            raise FolderError(f"{where}: {len(shapes)} tensors for {config.layers} layers")
        tokenizer, ids = opened_tokenizer(file.metadata, config.vocabulary, where)
        yield GGUFModel(
            family=family,
            config=config,
            held=GGUFTensors(file, places(architecture, family.table(config), config)),
            tokenizer=tokenizer,
            metadata=Metadata(family=family.MODEL_TYPE, ids=ids, generation=ids),
        )


def _architecture(file: GGUFFile) -> Architecture:
    name = file.metadata.get("general.architecture")
    found = next((each for each in ARCHITECTURES if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in ARCHITECTURES)
        raise FolderError(f"{file.path}: the architecture {shown(name)} is not supported; known: {known}")
    if file.metadata.get("split.count", 1) not in (0, 1):
        raise FolderError(
            f"{file.path}: is one of {file.metadata['split.count']} parts of a model; join them first, with "
            "llama.cpp's llama-gguf-split --merge"
        )
    return found


def _factors(file: GGUFFile) -> Tensor | None:
    stored = file.tensors.get(FACTORS)
    if stored is None:
        return None
    if stored.kind != "F32" or len(stored.shape) != 1:
        raise file.fault(f"{FACTORS} is {stored.kind} of shape {shown(stored.shape)}")
    return torch.cat(list(file.pieces(FACTORS))).flatten()


class GGUFTensors:
    """The tensors of a file under the family's names and in its layout (``Held``).

    shapes, dtypes: by the family's names; a tensor that it has no name for is under its own
    """

    def __init__(self, file: GGUFFile, known: Mapping[str, Place]) -> None:
        self._file, self._places = file, {name: place for name, place in known.items() if place.name in file.tensors}
        taken = {place.name for place in self._places.values()}
        left = {name: name for name in file.tensors if name not in taken and name != FACTORS}
        names = {name: place.name for name, place in self._places.items()} | left
        stored = {name: file.tensors[own] for name, own in names.items()}
        turned = {name for name, place in self._places.items() if place.turned}
        self.shapes: Mapping[str, Shape] = {
            name: each.shape[::-1] if name in turned else each.shape for name, each in stored.items()
        }
        self.dtypes: Mapping[str, torch.dtype] = {
            name: DTYPES.get(each.kind, torch.float32) for name, each in stored.items()
        }

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = lambda name: None) -> None:
        """As ``TensorFile.read``: copies tensors into those of the same names and shapes, a piece at a time."""
        for name in sorted(self._places.keys() & into.keys()):
            place, target = self._places[name], into[name]
            rows_NK = target[:, None] if target.dim() == 1 else target.mT if place.turned else target
            order_N, filled = place.order(len(rows_NK)), 0
            for piece in self._file.pieces(place.name):
                some = piece.view(-1, rows_NK.shape[-1])
                some = some.float().sub_(place.offset) if place.offset else some
                if order_N is None:
                    rows_NK[filled : filled + len(some)] = some
                else:
                    rows_NK[order_N[filled : filled + len(some)]] = some.to(rows_NK.dtype)
                filled += len(some)
            del target, rows_NK  # `done` may free it
            done(name)

    def bits(self, row: Row) -> int | None:
        """8 or 4 if the file stores one of our matrices in groups like ours, else None."""
        kinds = {self._file.tensors[self._places[name].name].kind for name in row.theirs}
        kind = next(iter(kinds))
        return {"Q8_0": 8, "Q4_0": 4}[kind] if len(kinds) == 1 and kind in OURS else None

    def read_rounded(self, rows: Mapping[str, Row], keep: Callable[[str, Codes], None]) -> None:
        """Reads those of our matrices as they are in the file. keep: gets each with its name."""
        for ours, row in rows.items():
            keep(ours, Codes.joined([self._part(self._places[name]) for name in row.theirs]))

    def _part(self, place: Place) -> Codes:
        found = self._file.codes(place.name)
        order_N = place.order(len(found.scales))
        if order_N is None:
            return found
        turned = Codes(torch.empty_like(found.codes), torch.empty_like(found.scales))
        turned.codes[order_N], turned.scales[order_N] = found.codes, found.scales
        return turned
