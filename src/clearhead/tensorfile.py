"""Tensors on disk: safetensors files with a checksum of their contents."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from clearhead.errors import FolderError, shown
from clearhead.files import check_name, reading, replacing

OWN = "clearhead."  # prefix of the notes that this project writes into weight files
CHECKSUM = f"{OWN}sha256"
PIECE = 2**20  # bytes read at a time; held twice while reading
HEADER_AT_MOST = 2**22  # bytes; 10,000 tensors need a third of it, and parsing takes 30 times its size
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Atomically writes tensors and string notes, with a checksum of both in the header.

    Equal contents give equal files. (The library's own writer orders the notes randomly, and leaves a temporary file
    behind when killed.) Raises FolderError if the file cannot be written.
    """
    check_name(path)
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    digest = _beginning(notes or {})
    for name in sorted(whole):
        digest.update(_title(name, whole[name].dtype, tuple(whole[name].shape)))
        digest.update(_bytes(whole[name]))
    # "format": transformers refuses a file without it.
    strings = {**(notes or {}), "format": "pt", CHECKSUM: digest.hexdigest()}
    header: dict[str, Any] = {"__metadata__": dict(sorted(strings.items()))}
    # Wide dtypes first, as in the library, so that every tensor is aligned.
    order = sorted(whole, key=lambda name: (-whole[name].element_size(), name))
    begin = 0
    for name in order:
        tensor = whole[name]
        end = begin + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(_bytes(whole[name]))


def read_tensors(path: Path, *, own: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and notes. Raises FolderError if the file is missing, truncated or altered since it was written.

    A file without a checksum, as other tools write, is read unchecked; with ``own`` it is refused.
    """
    with opened(path) as file:
        if own and not file.checked:
            raise FolderError(f"{path}: altered since it was written: it has no checksum; copy it again")
        tensors = {name: torch.empty(shape, dtype=file.dtypes[name]) for name, shape in file.shapes.items()}
        file.read(tensors)
    return tensors, file.notes


@contextmanager
def opened(path: Path) -> Generator[TensorFile]:
    """Opens a file and reads its header. Raises FolderError, even inside the block, if the file is damaged."""
    check_name(path)
    try:
        # Not read through the library, whose memory maps take memory besides the tensors.
        with reading(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > HEADER_AT_MOST:
                reason = f"a header of {length:,} bytes; at most {HEADER_AT_MOST:,} are read"
                raise FolderError(f"{path}: truncated or not a safetensors file ({reason}); copy it again")
            with safetensors.safe_open(path, framework="pt"):  # checks the format and the file's length
                pass
            file.seek(0)
            yield TensorFile(path, file)
    except (FileNotFoundError, NotADirectoryError):
        raise FolderError(f"{path}: there is no such file") from None
    except safetensors.SafetensorError as error:
        raise FolderError(f"{path}: truncated or not a safetensors file ({error}); copy it again") from None
    except OSError as error:
        raise FolderError(
            f"{path}: cannot be read: {error.strerror or error}; check its permissions and the disk"
        ) from None


class TensorFile:
    """An open file. shapes, dtypes: by name. notes: strings stored with the tensors. checked: has a checksum."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self._path, self._file, self._spared = path, file, torch.empty(0, dtype=torch.uint8)
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, dict[str, Any]] = json.loads(file.read(length))
        self.notes: dict[str, str] = header.pop("__metadata__", None) or {}
        self._checksum = self.notes.pop(CHECKSUM, None)
        self.checked = self._checksum is not None
        if not self.checked and any(
            name.startswith(OWN) for name in self.notes
        ):  # another tool keeps all of our notes or none
            raise FolderError(f"{path}: altered since it was written: it has no checksum; copy it again")
        self.notes.pop("format", None)
        unknown = {entry["dtype"] for entry in header.values()} - DTYPES.keys()
        if unknown:
            raise FolderError(
                f"{path}: tensors of {', '.join(sorted(unknown))}; known are {', '.join(DTYPES)} (quantised weights "
                "are not read; take the release in bfloat16 or float32)"
            )
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(entry["shape"]) for name, entry in header.items()}
        self.dtypes = {name: DTYPES[entry["dtype"]] for name, entry in header.items()}
        for name, shape in self.shapes.items():
            # In an empty tensor the format does not bound the other axes; torch counts in 64 bits.
            if math.prod(max(1, size) for size in shape) >= 2**63:
                raise FolderError(f"{path}: altered: {shown(name)} is of shape {shown(shape)}; copy it again")
        self._starts = {name: 8 + length + int(entry["data_offsets"][0]) for name, entry in header.items()}

    def read(self, into: Mapping[str, Tensor], done: Callable[[str], None] = lambda name: None) -> None:
        """Copies tensors into those of the same names and shapes, in any dtype, a piece at a time.

        Each tensor of ``into`` is looked up just before it is filled, and ``done`` is called with its name afterwards.
        Those missing from ``into`` are skipped, or only read if the file has a checksum; names that the file lacks are
        ignored. Raises FolderError if the checksum differs, after all was read. (The file is not memory-mapped: if
        another process truncated it, a signal would kill this one.)
        """
        digest = _beginning(self.notes) if self.checked else None
        for name in sorted(self.shapes if digest else self.shapes.keys() & into.keys()):
            if digest:
                digest.update(_title(name, self.dtypes[name], self.shapes[name]))
            self._file.seek(self._starts[name])
            tensor = into.get(name)
            for some in self._places(name) if tensor is None else _rows(tensor):
                piece = self._piece(some, self.dtypes[name])
                if digest:
                    digest.update(_bytes(piece))
                if piece is not some:
                    some.copy_(piece)
            if tensor is not None:
                del tensor  # `done` may free it
                done(name)
        if digest and self._checksum != digest.hexdigest():
            raise FolderError(f"{self._path}: altered since it was written: its checksum differs; copy it again")

    def _piece(self, some: Tensor, dtype: torch.dtype) -> Tensor:
        """The next numbers of the file, read straight into ``some`` if dtype and layout allow."""
        straight = some.dtype == dtype and some.device.type == "cpu" and some.is_contiguous()
        piece = some if straight else self._spare(some.numel() * dtype.itemsize).view(dtype).view(some.shape)
        if self._file.readinto(_bytes(piece)) != piece.nbytes:
            raise FolderError(f"{self._path}: truncated while being read; try again")
        return piece

    def _spare(self, size: int) -> Tensor:
        """A reused buffer of ``size`` bytes. With a new one each time, the allocator kept up to 15 MB."""
        if len(self._spared) < size:
            self._spared = torch.empty(size, dtype=torch.uint8)
        return self._spared[:size]

    def _places(self, name: str) -> Iterator[Tensor]:
        """Buffers for reading past a tensor, a piece at a time."""
        count, size = math.prod(self.shapes[name]), max(1, PIECE // self.dtypes[name].itemsize)
        for start in range(0, count, size):
            wanted = min(size, count - start)
            yield self._spare(wanted * self.dtypes[name].itemsize).view(self.dtypes[name])


def _rows(tensor: Tensor) -> Sequence[Tensor]:
    """Views of the tensor, each about a piece long."""
    rows = tensor if tensor.dim() else tensor.view(1)
    return rows.split(max(1, PIECE * len(rows) // max(1, rows.nbytes)))


def _beginning(notes: Mapping[str, str]) -> Any:
    """A sha256 of the notes. Tensors are added by name, dtype, shape and bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(notes):
        digest.update(f"{name}={notes[name]}\n".encode())
    return digest


def _title(name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    return f"{name} {dtype} {shape}\n".encode()


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor."""
    return tensor.view(-1).view(torch.uint8).numpy().data
