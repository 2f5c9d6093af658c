"""Runs jobs in forks of one process and kills them at chosen moments.

``serve`` runs in a separate process and reads one job per line of standard input: JSON with the arguments and when to
kill the job, which is after some seconds, before its n-th touch of a file below ``BELOW``, or never. The first job runs
in the process itself, so that what is slow the first time (imports, fonts, kernels) is done once; a fork then takes a
fifth of the time of a new process. The answer is a line of JSON: end (exit code, or minus the signal), seconds,
touches, output.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from clearhead.errors import ClearheadError

TOUCHES = {"open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.listdir", "os.scandir", "os.truncate"}
BELOW = "run-"  # in the path of every file that counts as touched
OUTPUT = "output"
SERVER = ("-c", "from clearhead.runs import killing; killing.serve(killing.train)")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a job ended.

    end: exit code, or minus the signal. touches: file accesses, 0 if it was killed. output: of both
    streams.
    """

    end: int
    seconds: float
    touches: int
    output: str

    @property
    def killed(self) -> bool:
        """Whether it was killed before it was done."""
        return self.end == -signal.SIGKILL


class Killer:
    """A process that does one job at a time in ``folder``. Leaving the block ends it and whatever it started.

    server: arguments for Python; the program they run calls ``serve``
    """

    def __init__(self, folder: Path, server: Sequence[str] = SERVER, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, *server],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
            start_new_session=True,  # so that Ctrl-C reaches only the parent, and the whole group can be killed
        )
        self._stdin, self._stdout = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)  # pipes

    def do(self, arguments: Sequence[str], **when: float) -> Answer:
        """Runs a job; ``seconds`` or ``touches`` say when to kill it.

        Raises ClearheadError if the process has ended.
        """
        try:
            self._stdin.write(json.dumps({"arguments": list(arguments), **when}) + "\n")
            self._stdin.flush()
            line = self._stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ClearheadError(f"the process that runs the jobs ended with code {self._process.wait()}; try again")
        return Answer(**json.loads(line))

    def __enter__(self) -> Killer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._stdin, self._stdout):
            with suppress(BrokenPipeError):  # the ended process had not read its last job
                pipe.close()
        self._process.wait()


def serve(work: Callable[[list[str]], int]) -> None:
    """Runs the jobs on standard input; ``work`` returns the exit code."""
    first = True
    for line in sys.stdin:
        job = json.loads(line)
        began = time.perf_counter()
        end, touches = (
            (_captured(work, job["arguments"]), 0)
            if first
            else _forked(work, job["arguments"], job.get("seconds"), job.get("touches"))
        )
        first = False
        answer = {"end": end, "seconds": time.perf_counter() - began, "touches": touches}
        sys.stdout.write(json.dumps({**answer, "output": Path(OUTPUT).read_text(errors="replace")}) + "\n")
        sys.stdout.flush()


def _forked(
    work: Callable[[list[str]], int], arguments: list[str], seconds: float | None, touches: int | None
) -> tuple[int, int]:
    """Runs the work in a fork of this process; returns its end and its touches."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if not child:
        count = [0]
        try:
            _count_touches(touches, count)
            code = _captured(work, arguments)
            os.write(outlet, str(count[0]).encode())
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    os.close(outlet)
    if seconds is not None:
        ended, _, _ = select.select([inlet], [], [], seconds)  # it has written its touches, or died
        if not ended:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    count = int(os.read(inlet, 20) or 0)
    os.close(inlet)
    return (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), count


def _count_touches(limit: int | None, count: list[int]) -> None:
    """Counts this process's touches of a run's files; kills the process just before number ``limit``."""

    def touch(event: str, values: tuple[object, ...]) -> None:
        if event in TOUCHES and values and BELOW in str(values[0]):
            count[0] += 1
            if count[0] == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touch)


def _captured(work: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Runs the work and returns its exit code; standard output and error go to the file ``OUTPUT``."""
    file = os.open(OUTPUT, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    before = os.dup(1), os.dup(2)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        return work(arguments)
    finally:
        sys.stdout.flush()
        os.dup2(before[0], 1)
        os.dup2(before[1], 2)
        for handle in (file, *before):
            os.close(handle)


def train(arguments: list[str]) -> int:
    """``CONFIG RUN``: begins the run that a file describes, or resumes it if its folder has a recipe."""
    from clearhead.runs.events import Events
    from clearhead.runs.folder import RECIPE
    from clearhead.runs.resolve import Asked
    from clearhead.runs.session import go_on, start

    config, folder = map(Path, arguments)
    try:
        if (folder / RECIPE).exists():
            go_on(folder, Events(), started=time.perf_counter())
        else:
            start(Asked(config=config, out=folder), Events(), started=time.perf_counter())
    except ClearheadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
