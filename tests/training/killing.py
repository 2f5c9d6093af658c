"""Runs the command in this folder, and kills it: ``python killing.py`` reads a job from each line of standard input.

A job is JSON: the command's arguments and when to kill it, after so many seconds or before so many of its touches of
files below a folder named "run-..."; or never. Each is a fork of this one process, which has done the first job
itself: what is slow the first time (imports, fonts, kernels) is done once, and a job takes a fifth of a new start's
time. Answers a line of JSON: the end (exit code, or signal below 0), the seconds, the touches, and what was written
on the standard streams.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from clearhead import cli

TOUCHES = {"open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.listdir", "os.scandir", "os.truncate"}


def watch(limit: int | None, count: list[int]) -> None:
    """Counts what this process is about to do to files of a run, and dies before number ``limit``."""

    def touch(event: str, values: tuple[object, ...]) -> None:
        if event in TOUCHES and values and "run-" in str(values[0]):
            count[0] += 1
            if count[0] == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touch)


def command(arguments: list[str]) -> int:
    """The exit code; standard output and error go to the file "output"."""
    file = os.open("output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    before = os.dup(1), os.dup(2)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["clearhead", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
        os.dup2(before[0], 1)
        os.dup2(before[1], 2)
        for handle in (file, *before):
            os.close(handle)
    return 0


def forked(arguments: list[str], seconds: float | None, touches: int | None) -> tuple[int, int]:
    """The end and the touches of the command in a fork of this process."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if not child:
        count = [0]
        try:
            watch(touches, count)
            code = command(arguments)
            os.write(outlet, str(count[0]).encode())
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    os.close(outlet)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    count = int(os.read(inlet, 20) or 0)
    os.close(inlet)
    return (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), count


def main() -> None:
    first = True
    for line in sys.stdin:
        job = json.loads(line)
        began = time.perf_counter()
        if first:
            end, count = command(job["arguments"]), 0
        else:
            end, count = forked(job["arguments"], job.get("seconds"), job.get("touches"))
        first = False
        answer = {
            "end": end,
            "seconds": time.perf_counter() - began,
            "touches": count,
            "output": Path("output").read_text(errors="replace"),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
