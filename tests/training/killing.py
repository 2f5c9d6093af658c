"""The command in forks that are killed: ``python killing.py`` serves jobs of clearhead/runs/killing.py."""

from __future__ import annotations

import sys

from clearhead import cli
from clearhead.runs.killing import serve


def command(arguments: list[str]) -> int:
    sys.argv = ["clearhead", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    serve(command)
