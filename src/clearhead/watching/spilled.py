"""What a record keeps, in files instead of in memory."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from clearhead.errors import WatchError
from clearhead.files import writing

NOTHING = memoryview(bytes(2**20))


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
            # Filled before it is mapped: if the disk is full, writing to the map would end the process by a signal.
            for start in range(0, x.nbytes, len(NOTHING)):
                file.write(NOTHING[: x.nbytes - start])
            file.flush()
            room = mmap.mmap(file.fileno(), x.nbytes)
        return torch.frombuffer(room, dtype=x.dtype).view(x.shape).copy_(x)
