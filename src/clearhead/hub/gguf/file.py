"""Reads a GGUF file: its metadata, and its tensors by name (version 3 of ggml's specification, docs/gguf.md).

Every count, length and place in the file is checked against its size before anything is allocated or read.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clearhead.errors import FolderError, shown
from clearhead.files import check_name, reading
from clearhead.hub.gguf.library import library
from clearhead.products import Codes
from clearhead.tensorfile import PIECE

MAGIC, VERSIONS = b"GGUF", (2, 3)
HEADER_AT_MOST = 2**26  # bytes; 262,144 tokens and as many merges take 10 million
ALIGNMENT, ALIGNMENT_AT_MOST = 32, 2**16
AXES, NAME_AT_MOST = 4, 256
# Numbers in a metadata entry, by the code of their type.
NUMBERS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 10: "<u8", 11: "<i8", 12: "<f8"}
BOOL, STRING, ARRAY = 7, 8, 9
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# Kinds whose blocks are the groups of ``products.few_bits``, with the bytes of a block: a scale, then 32 codes.
OURS = {"Q8_0": 34, "Q4_0": 18}
TENSOR_KINDS = (*DTYPES, *OURS, "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")


@dataclass(frozen=True)
class Stored:
    """A tensor in the file. shape: rows first, as in torch. kind: a name in TENSOR_KINDS. start: its first byte."""

    shape: tuple[int, ...]
    kind: str
    start: int
    size: int


@contextmanager
def opened_file(path: Path) -> Generator[GGUFFile]:
    """Opens a file and reads its header. Raises FolderError, even inside the block, if the file is damaged."""
    check_name(path)
    try:
        with reading(path) as file:
            yield GGUFFile(path, file)
    except (FileNotFoundError, NotADirectoryError):
        raise FolderError(f"{path}: there is no such file") from None
    except OSError as error:
        raise FolderError(
            f"{path}: cannot be read: {error.strerror or error}; check its permissions and the disk"
        ) from None


class GGUFFile:
    """An open file. metadata: entries by key; arrays of numbers are numpy's. tensors: by name."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path, self._file, self._gguf = path, file, library()
        self._size = os.fstat(file.fileno()).st_size
        if file.read(4) != MAGIC:
            raise self.fault("it does not begin as one of llama.cpp's files do")
        version = self._number("<u4")
        if version not in VERSIONS:
            raise FolderError(f"{path}: version {version} of the format; {VERSIONS[0]} and {VERSIONS[1]} are read")
        tensors, entries = self._count("<u8", 24), self._count("<u8", 13)
        self.metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._text(NAME_AT_MOST)
            if key in self.metadata:
                raise self.fault(f"the entry {shown(key)} appears twice")
            self.metadata[key] = self._value(self._number("<u4"), key)
        described = [self._described() for _ in range(tensors)]
        self.tensors = self._placed(described)

    def fault(self, what: str) -> FolderError:
        """The error for a damaged file."""
        return FolderError(f"{self.path}: truncated or altered: {what}; copy it again")

    def _take(self, count: int) -> bytes:
        """The next bytes of the header."""
        place = self._file.tell()
        if place + count > HEADER_AT_MOST and place + count <= self._size:
            raise self.fault(f"its header has more than {HEADER_AT_MOST:,} bytes")
        found = self._file.read(count) if place + count <= self._size else b""
        if len(found) != count:
            raise self.fault("its header ends early")
        return found

    def _number(self, form: str) -> Any:
        return np.frombuffer(self._take(np.dtype(form).itemsize), form)[0].item()

    def _count(self, form: str, size: int) -> int:
        """A number of things to come, each of at least ``size`` bytes."""
        count = self._number(form)
        if count * size > min(self._size, HEADER_AT_MOST):
            raise self.fault(f"it announces {count:,} entries, more than fit into it")
        return count

    def _text(self, most: int = HEADER_AT_MOST) -> str:
        (length,) = struct.unpack("<Q", self._take(8))
        if length > most:
            raise self.fault(f"a text of {length:,} bytes, where at most {most:,} are read")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise self.fault(f"a text is not UTF-8: {error.reason}") from None

    def _value(self, code: int, key: str) -> Any:
        if code in NUMBERS:
            return _plain(np.frombuffer(self._take(np.dtype(NUMBERS[code]).itemsize), NUMBERS[code])[0])
        if code == BOOL:
            return self._bools(1, key)[0]
        if code == STRING:
            return self._text()
        if code != ARRAY:
            raise self.fault(f"the entry {shown(key)} is of an unknown type, {code}")
        inner = self._number("<u4")
        if inner in NUMBERS:
            size = np.dtype(NUMBERS[inner]).itemsize
            return np.frombuffer(self._take(size * self._count("<u8", size)), NUMBERS[inner])
        if inner == BOOL:
            return self._bools(self._count("<u8", 1), key)
        if inner != STRING:
            raise self.fault(f"the entry {shown(key)} is a list of an unknown type, {inner}")
        return [self._text() for _ in range(self._count("<u8", 8))]

    def _bools(self, count: int, key: str) -> list[bool]:
        found = self._take(count)
        if not set(found) <= {0, 1}:
            raise self.fault(f"the entry {shown(key)} is neither true nor false")
        return [byte == 1 for byte in found]

    def _described(self) -> tuple[str, tuple[int, ...], str, int]:
        """Name, shape, kind and place of a tensor, as the header has them."""
        name, axes = self._text(NAME_AT_MOST), self._number("<u4")
        if not 1 <= axes <= AXES:
            raise self.fault(f"{shown(name)} has {axes} axes; 1 to {AXES} are possible")
        shape = tuple(self._number("<u8") for _ in range(axes))[::-1]
        code = self._number("<u4")
        try:
            kind = self._gguf.GGMLQuantizationType(code).name
        except ValueError:
            raise FolderError(f"{self.path}: {shown(name)} is of an unknown kind, {code}") from None
        if kind not in TENSOR_KINDS:
            raise FolderError(f"{self.path}: {shown(name)} is {kind}; only {', '.join(TENSOR_KINDS)} are read")
        return name, shape, kind, self._number("<u8")

    def _placed(self, described: list[tuple[str, tuple[int, ...], str, int]]) -> dict[str, Stored]:
        """The tensors, none of which reaches beyond the file or into another."""
        alignment = self.metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 8 <= alignment <= ALIGNMENT_AT_MOST or alignment & (alignment - 1):
            raise self.fault(f"general.alignment is {shown(alignment)}, not a power of two from 8")
        begin = -(-self._file.tell() // alignment) * alignment
        found: dict[str, Stored] = {}
        for name, shape, kind, offset in described:
            numbers, size = self._gguf.GGML_QUANT_SIZES[self._gguf.GGMLQuantizationType[kind]]
            count = math.prod(shape)
            if not 0 < count < 2**63 or shape[-1] % numbers or offset % alignment:
                raise self.fault(f"{shown(name)} is {kind} of shape {shown(shape)} at byte {offset:,}")
            stored = Stored(shape, kind, begin + offset, count // numbers * size)
            if stored.start + stored.size > self._size:
                raise self.fault(f"{shown(name)} ends at byte {stored.start + stored.size:,} of {self._size:,}")
            if name in found:
                raise self.fault(f"the tensor {shown(name)} appears twice")
            found[name] = stored
        order = sorted(found, key=lambda name: found[name].start)
        for first, second in itertools.pairwise(order):
            if found[first].start + found[first].size > found[second].start:
                raise self.fault(f"{shown(first)} reaches into {shown(second)}")
        return found

    def pieces(self, name: str) -> Iterator[Tensor]:
        """A tensor's rows in float32, or in its own dtype if that is not quantised, some at a time."""
        stored = self.tensors[name]
        kind = self._gguf.GGMLQuantizationType[stored.kind]
        for raw in self._raw(name):
            if stored.kind in DTYPES:
                yield torch.from_numpy(raw).view(DTYPES[stored.kind]).view(-1, stored.shape[-1])
            else:
                with np.errstate(all="ignore"):  # numbers that are not finite are found by whoever gets them
                    numbers = self._gguf.quants.dequantize(raw, kind)
                yield torch.from_numpy(numbers)

    def codes(self, name: str) -> Codes:
        """A matrix of a kind in OURS, with the same numbers in the file's order of rows."""
        stored = self.tensors[name]
        made, done = Codes.empty(stored.shape, 8 if stored.kind == "Q8_0" else 4), 0
        for raw in self._raw(name):
            blocks = torch.from_numpy(raw).view(len(raw), -1, OURS[stored.kind])
            part = slice(done, done + len(raw))
            made.scales[part] = blocks[:, :, :2].contiguous().view(torch.float16).flatten(1)
            made.codes[part] = blocks[:, :, 2:].flatten(1).view(made.codes.dtype)
            done += len(raw)
        return made

    def _raw(self, name: str) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
        """The bytes of a tensor, some rows at a time, about PIECE numbers."""
        stored = self.tensors[name]
        rows = math.prod(stored.shape[:-1])
        width, step = stored.size // rows, max(1, PIECE // stored.shape[-1])
        self._file.seek(stored.start)
        for start in range(0, rows, step):
            some = np.empty((min(step, rows - start), width), dtype=np.uint8)
            if self._file.readinto(some.data) != some.nbytes:  # pyright: ignore[reportArgumentType]
                raise FolderError(f"{self.path}: truncated while being read; try again")
            yield some


def _plain(number: Any) -> int | float:
    """A number as Python has it; of float32, the shortest decimal that is read as the same float32: 1e-05."""
    return float(str(number)) if number.dtype == np.float32 else number.item()
