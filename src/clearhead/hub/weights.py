"""The weights of a folder: model.safetensors, or several files and the index that says which tensor is in which."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from clearhead import machine
from clearhead.errors import FolderError, OptionError, nearest, shown
from clearhead.hub.families import conversion
from clearhead.hub.families.table import Held
from clearhead.hub.jsonfile import read_table
from clearhead.tensorfile import TensorFile, opened

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_AT_MOST = 2**23  # bytes; that of 36,000 tensors (Qwen 3 with 235 billion weights) has 3.4 million
SHARDS_AT_MOST = 500  # open at the same time; the largest releases have 163

# Names of dtypes, and two rules: "stored" is that of most numbers in the files; "auto" is the same, but float32 where
# half of it is no faster on this processor.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
RULES = ("auto", "stored")

_PICKLED = "is a pickle, which runs code when it is opened, and is not read; convert it with transformers: {conversion}"
_ELSEWHERE = "is not read; take the release that has model.safetensors, or convert it with transformers 4"
# What is done about files of other formats.
FOREIGN: dict[str, str] = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl"), _PICKLED),
    **dict.fromkeys((".h5", ".msgpack", ".onnx", ".tflite"), _ELSEWHERE),
    ".gguf": "is not read; convert it with transformers: {conversion}",
    ".safetensors": f"has another name than {WEIGHTS}, so it is not known what it is",
}


class Weights:
    """Open files as one. shapes, dtypes: by name of tensor. notes: strings written beside them. where: for errors."""

    def __init__(self, where: Path, files: Sequence[TensorFile]) -> None:
        self.where, self._files = where, files
        self.shapes = {name: shape for file in files for name, shape in file.shapes.items()}
        self.dtypes = {name: dtype for file in files for name, dtype in file.dtypes.items()}
        self.notes = {name: note for file in files for name, note in file.notes.items()}

    def read(self, into: Mapping[str, Tensor]) -> None:
        """As ``TensorFile.read``."""
        for file in self._files:
            file.read({name: tensor for name, tensor in into.items() if name in file.shapes})


def chosen_dtype(held: Held, wanted: Iterable[str], asked: str, device: str, where: str) -> torch.dtype:
    """The dtype in which these tensors are to be loaded; ``asked`` is a name or rule that ``check_dtype`` let pass.

    Tensors of another dtype (norms in float32 among bfloat16 are common) are converted, as transformers does.
    Raises FolderError when any is not of floating point.
    """
    numbers = dict.fromkeys(DTYPES.values(), 0)
    tensors = dict.fromkeys(DTYPES.values(), 0)
    for name in wanted:
        dtype = held.dtypes[name]
        if dtype not in numbers:
            raise FolderError(
                f"{where}: {name} is of dtype {_word(dtype)}, and weights are float32, bfloat16, float16 or float64; "
                "quantised weights are not read; take the release in bfloat16 or float32"
            )
        numbers[dtype] += math.prod(held.shapes[name])
        tensors[dtype] += 1
    if asked in DTYPES:
        return DTYPES[asked]
    stored = max(numbers, key=lambda dtype: numbers[dtype])
    on_processor = torch.device(device).type == "cpu"
    slow = asked == "auto" and stored.itemsize == 2 and on_processor and not machine.half_pays(stored)
    chosen = torch.float32 if slow else stored
    for dtype, number in tensors.items():
        if number and dtype.itemsize > chosen.itemsize:
            log.info("%s: %d tensors of %s are rounded to %s", where, number, _word(dtype), _word(chosen))
    return chosen


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_dtype(asked: str) -> None:
    """Raises OptionError, with the nearest, for a dtype that is not known."""
    known = (*RULES, *DTYPES)
    if asked not in known:
        raise OptionError(f"dtype: there is no {asked!r}{nearest(asked, known)}")


@contextmanager
def open_weights(folder: Path) -> Generator[Weights]:
    """The weights of a folder, their headers read and checked against the index where there is one.

    Raises FolderError for files that are missing, damaged, not those of the index, or of another format.
    """
    single, index = folder / WEIGHTS, folder / INDEX
    with ExitStack() as stack:
        if single.exists() or not index.exists():
            if not single.exists():
                names = [path.name for path in folder.iterdir() if path.is_file()]
                raise FolderError(f"{single}: there is no such file{foreign(names, folder, str(folder))}")
            yield Weights(single, [stack.enter_context(opened(single))])
            return
        places = _places(index)
        files = {name: stack.enter_context(opened(folder / name)) for name in sorted(set(places.values()))}
        _check(index, places, files)
        yield Weights(index, list(files.values()))


def complete(folder: Path) -> bool:
    """Whether all weights are in a folder; a hub's index comes before them. Raises FolderError for one that is none."""
    if (folder / WEIGHTS).exists():
        return True
    return (folder / INDEX).exists() and all((folder / name).exists() for name in shards(folder / INDEX))


def shards(index: Path) -> list[str]:
    """The names of the files that an index speaks of. Raises FolderError for an index that is none."""
    return sorted(set(_places(index).values()))


def _places(index: Path) -> dict[str, str]:
    """The file of each tensor, as the index says."""
    places = read_table(index, most=INDEX_AT_MOST).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise FolderError(f"{index}: altered: it has no table weight_map that tells the file of each tensor")
    for name, file in cast(dict[str, Any], places).items():
        # A plain name: an index cannot point outside its folder.
        if not isinstance(file, str) or not re.fullmatch(r"[\w-][\w.-]*\.safetensors", file):
            raise FolderError(
                f"{index}: altered: {shown(file)}, the file of {shown(name)}, is no name of a tensor file"
            )
    found = cast(dict[str, str], places)
    if len(set(found.values())) > SHARDS_AT_MOST:
        raise FolderError(f"{index}: {len(set(found.values())):,} files; at most {SHARDS_AT_MOST} are read")
    return found


def _check(index: Path, places: Mapping[str, str], files: Mapping[str, TensorFile]) -> None:
    """Raises FolderError unless every file holds exactly the tensors that the index places there."""
    for file, held in files.items():
        said = {name for name, place in places.items() if place == file}
        wrong = sorted(said ^ held.shapes.keys())
        if wrong:
            which = "lacks" if wrong[0] in said else "holds, and the index does not say so,"
            more = f" and {len(wrong) - 1:,} more differ" if len(wrong) > 1 else ""
            raise FolderError(f"{index}: {file} {which} {shown(wrong[0])}{more}; copy both again")


def foreign(names: Collection[str], folder: Path, source: str) -> str:
    """What of the files is there in place of the weights, and what can be done with it; a clause for an error.

    folder: where the model's config.json lies. source: where transformers finds the model, a folder or a name.
    """
    settings: dict[str, Any] = {}
    with suppress(FolderError):  # the error that is being told does not depend on it
        settings = read_table(folder / "config.json")
    for ending, way in FOREIGN.items():
        found = sorted(name for name in names if name.endswith(ending))
        if found:
            both = f", gguf_file={found[0]!r}" if ending == ".gguf" else ""
            return f"; {found[0]} {way.format(conversion=conversion(source, settings, both=both))}"
    return ""
