"""What a run tells while it goes: values for whoever draws them, and one JSON line each in log.jsonl."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from clearhead.errors import ConfigError, FolderError, WriteError
from clearhead.files import FULL, read_bounded, updating
from clearhead.plain import from_dict

LOG_AT_MOST = 2**27  # bytes; 200,000 evaluations


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """One step was made. The log's entries of this kind are means over the steps since the last one."""

    step: int  # steps made
    loss: float  # nats per token, on the batch, before the update
    rate: float  # learning rate of the step: Muon's, or AdamW's where that trains all
    used: float  # part of the run that is behind
    tokens: int  # seen since the start, repetitions counted
    seconds: float  # since the start, all sessions together


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The validation text was read."""

    step: int
    valid_loss: float  # nats per token
    bits_per_byte: float
    best: bool  # the lowest so far: the model was kept
    seconds: float
    sample: str  # what the model writes


Report = Stepped | Evaluated


class Log:
    """log.jsonl, one line per report; opened at a known length, so that a resumed run has no line twice.

    Raises FolderError when it cannot be written, is a link or no file, or is shorter than that.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        with self._told():
            self._file = updating(path)
            size = self._file.seek(0, os.SEEK_END)
            if size < length:
                self._file.close()
                raise FolderError(
                    f"{path}: has {size} bytes, and had {length} when the state was saved; copy it again from where "
                    "it came"
                )
            self._file.truncate(length)
            self._file.seek(length)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What was not flushed belongs to steps after the last saved state: it may be lost when the run has failed.
        with contextlib.suppress(OSError) if error else self._told():
            self._file.close()

    def write(self, report: Report) -> None:
        """Appends a line."""
        line = json.dumps({"kind": type(report).__name__.lower(), **asdict(report)}, ensure_ascii=False)
        with self._told():
            self._file.write(line.encode() + b"\n")

    def flush(self) -> int:
        """Forces the lines to the disk; returns the file's length in bytes."""
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except OSError as fault:
            way = "free some space" if fault.errno in FULL else "make it a file that you may write"
            raise WriteError(f"{self._path}: cannot be written: {fault.strerror or fault}; {way}") from fault


def read_log(path: Path) -> list[Report]:
    """The reports of a log.jsonl, in order; a line without its end, as a kill can leave it, is not one.

    Raises FolderError when the file is missing, none, or altered.
    """
    kinds = {"stepped": Stepped, "evaluated": Evaluated}
    try:
        *lines, _ = read_bounded(path, LOG_AT_MOST).split(b"\n")
    except OSError as fault:
        raise FolderError(f"{path}: cannot be read: {fault.strerror}") from None
    reports: list[Report] = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            reports.append(from_dict(kinds[values.pop("kind")], values))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError):
            raise FolderError(f"{path}: line {number} is altered; copy the file again from where it came") from None
    return reports
