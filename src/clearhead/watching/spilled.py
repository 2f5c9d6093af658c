"""What a record keeps, in files instead of in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from clearhead.errors import WatchError
from clearhead.files import writing


class Spill:
    """Copies tensors into mapped files of a folder.

    The files have no names, so that they vanish with their tensors, even if the process is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, x: Tensor) -> Tensor:
        """A copy in a file of its own. Raises WriteError if the folder is missing or its disk is full."""
        if x.device.type != "cpu":
            raise WatchError(f"spill: the model is on {x.device}; only what is in a processor's memory goes to a disk")
        with writing(self._folder / "record"), tempfile.TemporaryFile(dir=self._folder) as file:
            # Written to a mapped file, a disk that is full would end the process by a signal.
            os.posix_fallocate(file.fileno(), 0, x.nbytes)
            room = mmap.mmap(file.fileno(), x.nbytes)
        return torch.frombuffer(room, dtype=x.dtype).view(x.shape).copy_(x)
