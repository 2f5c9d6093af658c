"""What a run tells while it goes: values for whoever draws them, and one JSON line each in log.jsonl."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """One step was made. The log's entries of this kind are means over the steps since the last one."""

    step: int  # steps made
    loss: float  # nats per token, on the batch, before the update
    rate: float  # learning rate as a part of the peak
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
    """log.jsonl, one line per report; opened at a known length, so that a resumed run has no line twice."""

    def __init__(self, path: Path, length: int) -> None:
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(length)
        self._file.seek(length)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, report: Report) -> None:
        """Appends a line."""
        line = json.dumps({"kind": type(report).__name__.lower(), **asdict(report)}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")

    def flush(self) -> int:
        """Forces the lines to the disk; returns the file's length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


def read_log(path: Path) -> list[Report]:
    """The reports of a log.jsonl."""
    kinds = {"stepped": Stepped, "evaluated": Evaluated}
    reports: list[Report] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        reports.append(kinds[values.pop("kind")](**values))
    return reports
