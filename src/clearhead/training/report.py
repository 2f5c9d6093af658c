"""Reports of a run in progress, each also a JSON line in log.jsonl."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from clearhead.errors import ConfigError, FolderError, WriteError
from clearhead.files import FULL, read_bounded, updating
from clearhead.plain import from_dict
from clearhead.training.objective import Evaluation

LOG_AT_MOST = 2**27  # bytes; 200,000 evaluations


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """A training step. In the log, ``loss`` is the mean over the steps since the last entry."""

    step: int  # steps so far
    loss: float  # nats per predicted token, on the batch, before the update
    rate: float  # learning rate of the step: Muon's, or AdamW's without Muon
    used: float  # fraction of the run that is done
    tokens: int  # seen since the start, repeats included
    seconds: float  # since the start, over all sessions


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a model writes at an evaluation, and for translators the scores of some translations, from 0 to 100."""

    text: str
    bleu: float | None = None
    chrf: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluation on the validation text."""

    step: int
    valid_loss: float  # nats per unit
    bits_per_byte: float
    best: bool  # the lowest loss so far, so the model was saved
    seconds: float
    sample: str  # text written or filled in by the model; empty if it ended at once
    unit: str = "token"  # what the model predicts: tokens, or masked tokens
    bleu: float | None = None  # of translations of some validation pairs, from 0 to 100; None for other models
    chrf: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of a run, the last line of its log: the saved model's evaluation on the final tokens."""

    step: int  # the run's last
    evaluation: Evaluation
    seconds: float  # since the start, over all sessions


Report = Stepped | Evaluated


def best_evaluation(reports: Iterable[Report]) -> Evaluated | None:
    """The evaluation with the lowest validation loss, at which the model was saved; None without any."""
    evaluated = [each for each in reports if isinstance(each, Evaluated)]
    return min(evaluated, key=lambda each: each.valid_loss) if evaluated else None


class Log:
    """log.jsonl, one line per report. It is cut to a known length first, so a resumed run repeats no line.

    Raises FolderError if it is shorter than that, cannot be written, or is not a regular file.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        with self._write_errors():
            self._file = updating(path)
            size = self._file.seek(0, os.SEEK_END)
            if size < length:
                self._file.close()
                raise FolderError(
                    f"{path}: has {size} bytes, but had {length} when the state was saved; copy it again from the "
                    "original"
                )
            self._file.truncate(length)
            self._file.seek(length)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Unflushed lines belong to steps after the last saved state, so a failed run may lose them.
        with contextlib.suppress(OSError) if error else self._write_errors():
            self._file.close()

    def write(self, report: Report | Finished) -> None:
        """Appends a line."""
        line = json.dumps({"kind": type(report).__name__.lower(), **asdict(report)}, ensure_ascii=False)
        with self._write_errors():
            self._file.write(line.encode() + b"\n")

    def flush(self) -> int:
        """Flushes the lines to disk and returns the file's length in bytes."""
        with self._write_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    @contextlib.contextmanager
    def _write_errors(self) -> Generator[None]:
        try:
            yield
        except OSError as fault:
            way = "free some space" if fault.errno in FULL else "make the file writable"
            raise WriteError(f"{self._path}: cannot be written: {fault.strerror or fault}; {way}") from fault


def read_log(path: Path) -> list[Report]:
    """Reads the reports in a log.jsonl, in order. An unfinished last line, which a kill can leave, is skipped.

    Raises FolderError if the file is missing, is not a file, or was altered.
    """
    reports: list[Report] = []
    for number, line in enumerate(_lines(path), start=1):
        report = _read(line)
        if report is None:
            raise FolderError(f"{path}: line {number} was altered; copy the file again from the original")
        reports += [] if isinstance(report, Finished) else [report]
    return reports


def read_end(path: Path) -> Finished | None:
    """The end of the run in its log.jsonl; None if its last line is something else, such as what a kill left.

    Raises FolderError if the file is missing or is not a file.
    """
    lines = _lines(path)
    last = _read(lines[-1]) if lines else None
    return last if isinstance(last, Finished) else None


def _lines(path: Path) -> list[bytes]:
    try:
        *lines, _ = read_bounded(path, LOG_AT_MOST).split(b"\n")
    except OSError as fault:
        raise FolderError(f"{path}: cannot be read: {fault.strerror}") from None
    return lines


def _read(line: bytes) -> Report | Finished | None:
    """The report in a line; None if there is none."""
    kinds = {"stepped": Stepped, "evaluated": Evaluated, "finished": Finished}
    try:
        values = json.loads(line)
        return from_dict(kinds[values.pop("kind")], values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError):
        return None
