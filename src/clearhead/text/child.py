"""Runs work in a separate process, which can be limited, stopped and killed whatever it does.

``ask`` runs this file with the path of a worker, a Python file that defines ``answer(request, note)``. The input is one
line of JSON: limits and request. The output is one line of JSON per note, then {"answer": ..., "short": whether memory
ran out}. A worker imports nothing from this package, so that it starts quickly.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

SHORT = "memory allocation of "  # what Rust prints before it aborts for lack of memory
ADVICE = "note: "  # what it prints after that: how to get a backtrace

Note = Callable[[Any], None]


class LateError(Exception):
    """The worker used up its time."""


class ShortError(Exception):
    """The worker needed more memory than its limit."""


class DiedError(Exception):
    """The worker ended without an answer; the message is its last line, or its exit code."""


def ask(
    worker: Path,
    request: Mapping[str, Any],
    *,
    seconds: float | None = None,
    memory: int | None = None,
    note: Note | None = None,
) -> Any:
    """Returns the worker's answer; calls ``note`` with each note as it comes. An exception here kills the worker.

    seconds: limit on processor time; the limit on wall-clock time is twice that, for busy machines
    memory: limit on address space in bytes, Python's own included

    Raises LateError, ShortError or DiedError.
    """
    limits = {"seconds": None if seconds is None else max(1, round(seconds)), "memory": memory}
    # -P: modules beside the worker must not shadow Python's. Its own session: Ctrl-C in a terminal must reach this
    # process only, which then kills the worker.
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(worker)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # where libraries written in Rust report progress and aborts
        start_new_session=True,
        env={**os.environ, "RUST_BACKTRACE": "0"},  # a backtrace would come after the line that says why
    )
    stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)  # as both are pipes
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    clock = threading.Timer(2 * (seconds or 0), stop)
    if seconds is not None:
        clock.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # it died; its output says why
            stdin.write(json.dumps([limits, request]).encode() + b"\n")
            stdin.close()
        found, last = _heard(stdout, note)
        code = process.wait()
    finally:
        clock.cancel()
        process.kill()
        process.wait()
        for stream in (stdin, stdout):
            with contextlib.suppress(BrokenPipeError):  # input that it never read
                stream.close()
    if found is not None and not found["short"]:
        return found["answer"]
    if found is not None or SHORT in last:
        raise ShortError
    if late.is_set() or code == -signal.SIGXCPU:
        raise LateError
    raise DiedError(last or f"exit code {code}")


def _heard(lines: IO[bytes], note: Note | None) -> tuple[dict[str, Any] | None, str]:
    """Returns the answer, if any, and the last line that is neither answer nor note, of ours or of Rust's."""
    last = ""
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            said = line.decode(errors="replace").strip()[:200]
            last = last if said.startswith(ADVICE) else said or last
            continue
        if isinstance(value, dict) and "answer" in value:
            return value, last
        if note is not None:
            note(value)
    return None, last


def main() -> None:
    """Answers the request on standard input."""
    work = runpy.run_path(sys.argv[1])["answer"]
    limits, request = json.loads(sys.stdin.buffer.readline())
    time.localtime()  # reads the time zone's file before files are limited
    chosen = [(resource.RLIMIT_CPU, limits["seconds"]), (resource.RLIMIT_AS, limits["memory"])]
    for limit, most in [*chosen, (resource.RLIMIT_FSIZE, 0)]:
        if most is not None:
            with contextlib.suppress(ValueError, OSError):  # a system without that limit, or with a lower one
                resource.setrlimit(limit, (most, most + 1))  # the soft limit kills it with SIGXCPU, which says why
    try:
        found = {"answer": work(request, _say), "short": False}
    except MemoryError:
        found = {"answer": None, "short": True}
    _say(found)


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
