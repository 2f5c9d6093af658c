"""The weights of a folder: model.safetensors, or several shards and an index of which tensor is in which."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
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
from clearhead.hub.kept import file_of
from clearhead.tensorfile import TensorFile, opened

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_AT_MOST = 2**23  # bytes; the index of 36,000 tensors (Qwen 3 with 235 billion weights) has 3.4 million
SHARDS_AT_MOST = 500  # all open at once; the largest releases have 163

# Names of dtypes, and two rules: "stored" is the dtype of most numbers in the files; "auto" is the same, but float32 if
# half precision is no faster on this processor.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
RULES = ("auto", "stored")

_PICKLED = "is a pickle, which can run code when opened, so it is not read; convert it with transformers: {conversion}"
_ELSEWHERE = "is not supported; take a release with model.safetensors, or convert it with transformers 4"
# What to do about files of other formats.
FOREIGN: dict[str, str] = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl"), _PICKLED),
    **dict.fromkeys((".h5", ".msgpack", ".onnx", ".tflite"), _ELSEWHERE),
    ".gguf": "is a model in a file of its own; give its path instead of the folder's (download it first)",
    ".safetensors": f"is not named {WEIGHTS}, so its purpose is unknown",
}


class Weights:
    """Open files as one. shapes, dtypes: by tensor name. notes: the files' metadata. where: for errors."""

    def __init__(self, where: Path, files: Sequence[TensorFile]) -> None:
        self.where, self._files = where, files
        self.shapes = {name: shape for file in files for name, shape in file.shapes.items()}
        self.dtypes = {name: dtype for file in files for name, dtype in file.dtypes.items()}
        self.notes = {name: note for file in files for name, note in file.notes.items()}

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = lambda name: None) -> None:
        """As ``TensorFile.read``."""
        for file in self._files:
            file.read(into, done)


def chosen_dtype(held: Held, wanted: Iterable[str], asked: str, device: str, where: str) -> torch.dtype:
    """The dtype to load these tensors in; ``asked`` is a name or rule that ``check_dtype`` accepts.

    Tensors of another dtype (float32 norms among bfloat16 are common) are converted, as transformers does.
    Raises FolderError if any is not floating point.
    """
    numbers = dict.fromkeys(DTYPES.values(), 0)
    tensors = dict.fromkeys(DTYPES.values(), 0)
    for name in wanted:
        dtype = held.dtypes[name]
        if dtype not in numbers:
            raise FolderError(
                f"{where}: {name} has dtype {_word(dtype)}; weights must be float32, bfloat16, float16 or float64, and "
                "quantised ones are not supported; take the release in bfloat16 or float32"
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
    """Raises OptionError for an unknown dtype, with the nearest name."""
    known = (*RULES, *DTYPES)
    if asked not in known:
        raise OptionError(f"dtype: there is no {asked!r}{nearest(asked, known)}")


@contextmanager
def open_weights(folder: Path, step: int | None = None) -> Generator[Weights]:
    """Opens the weights of a folder: reads the headers and checks them against the index, if there is one.

    step: of the run's kept model to open instead

    Raises FolderError for files that are missing, damaged, of another format, or do not match the index.
    """
    single, index = folder / WEIGHTS if step is None else file_of(folder, step), folder / INDEX
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
    """Whether all weights are in a folder (an index is fetched first). Raises FolderError for a damaged index."""
    if (folder / WEIGHTS).exists():
        return True
    return (folder / INDEX).exists() and all((folder / name).exists() for name in shards(folder / INDEX))


def shards(index: Path) -> list[str]:
    """The names of the files in an index. Raises FolderError for a damaged index."""
    return sorted(set(_places(index).values()))


def _places(index: Path) -> dict[str, str]:
    """The file of each tensor, by the index."""
    places = read_table(index, most=INDEX_AT_MOST).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise FolderError(f"{index}: altered: it has no weight_map that gives the file of each tensor")
    for name, file in cast(dict[str, Any], places).items():
        # A plain name, so an index cannot point outside its folder.
        if not isinstance(file, str) or not re.fullmatch(r"[\w-][\w.-]*\.safetensors", file):
            raise FolderError(
                f"{index}: altered: {shown(file)}, the file of {shown(name)}, is not the name of a tensor file"
            )
    found = cast(dict[str, str], places)
    if len(set(found.values())) > SHARDS_AT_MOST:
        raise FolderError(f"{index}: {len(set(found.values())):,} files; at most {SHARDS_AT_MOST} are supported")
    return found


def _check(index: Path, places: Mapping[str, str], files: Mapping[str, TensorFile]) -> None:
    """Raises FolderError unless every file holds exactly the tensors that the index assigns to it."""
    for file, held in files.items():
        said = {name for name, place in places.items() if place == file}
        wrong = sorted(said ^ held.shapes.keys())
        if wrong:
            which = "lacks" if wrong[0] in said else "has, though the index does not say so,"
            more = f" and {len(wrong) - 1:,} more differ" if len(wrong) > 1 else ""
            raise FolderError(f"{index}: {file} {which} {shown(wrong[0])}{more}; copy both again")


def foreign(names: Collection[str], folder: Path, source: str) -> str:
    """A clause for an error: which file is there instead of the weights, and how to convert it.

    folder: where the model's config.json is. source: what to pass to transformers, a folder or a name.
    """
    settings: dict[str, Any] = {}
    with suppress(FolderError):  # the error being reported is another one
        settings = read_table(folder / "config.json")
    for ending, way in FOREIGN.items():
        found = sorted(name for name in names if name.endswith(ending))
        if found:
            return f"; {found[0]} {way.format(conversion=conversion(source, settings))}"
    return ""
