"""Runs what the pages print: commands and blocks of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Runs the blocks of a JSON list of lists; those of one list share their names.
PROGRAM = """
import json, sys
for page in json.load(sys.stdin):
    names = {"__name__": "__main__"}
    for block in page:
        exec(compile(block, block.strip().splitlines()[0], "exec"), names)
"""

# Runs each line of standard input, a command's arguments as JSON, in a fork; answers with its exit code and output.
FORKS = """
import json, os, sys, tempfile
import torch
import matplotlib.figure
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg
from typer.main import get_command
from clearhead import cli, drawing, encoding, hub, runs
from clearhead.native import compiling
compiling.library()
get_command(cli.app)
for line in sys.stdin:
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            sys.argv = json.loads(line)
            code = 0
            try:
                cli.main()
            except SystemExit as end:
                code = end.code or 0
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed.seek(0)
        print(json.dumps([code, printed.read().decode()]), flush=True)
"""


@contextmanager
def forks(place: Path) -> Iterator[Callable[[list[str]], None]]:
    """Runs commands in forks of one process, which has imported what they need: two seconds less for each."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def run(arguments: list[str]) -> None:
            asked.write(json.dumps(arguments) + "\n")
            asked.flush()
            code, printed = json.loads(told.readline())
            assert code == 0, f"{arguments}\n{printed}"

        yield run


def run(command: list[str], place: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """The finished process; its folder of programs comes first, as in an activated environment."""
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=place, env={**os.environ, "PATH": found}, capture_output=True, text=True, timeout=300,
        **{"input": "", **options},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done
