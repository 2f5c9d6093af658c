"""Tensors on disk: safetensors files that carry a checksum of their contents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clearhead.errors import FolderError
from clearhead.files import replacing

CHECKSUM = "clearhead.sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Writes tensors and string notes atomically, with a checksum of all of them in the header."""
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    # "format": transformers refuses a file without it.
    header = {**(notes or {}), "format": "pt", CHECKSUM: checksum(whole, notes or {})}

    with replacing(path) as file:
        try:
            safetensors.torch.save_file(whole, file.name, metadata=header)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and notes of a file. Raises FolderError when it is missing, truncated or altered since it was written.

    A file that carries no checksum (another tool wrote it) is read without that check.
    """
    if not path.is_file():
        raise FolderError(f"{path}: there is no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise FolderError(f"{path}: truncated or not a safetensors file ({error}); copy it again") from None
    stored = notes.pop(CHECKSUM, None)
    notes.pop("format", None)
    if stored is not None and stored != checksum(tensors, notes):
        raise FolderError(f"{path}: altered since it was written: its checksum differs; copy it again")
    return tensors, notes


def checksum(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    """sha256 over names, dtypes, shapes, bytes and notes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(notes):
        digest.update(f"{name}={notes[name]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
