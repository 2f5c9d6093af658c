"""Calls the command in this process, with options for small runs."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from clearhead import cli

TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 60
SHAPE = [
    "model.layers=1",
    "model.width=16",
    "model.context=16",
    "model.attention={heads=2,kv_heads=2,head_width=8}",
    "model.feed_forward={width=32}",
    "train.batch=4",
    "train.evaluations=2",
]
SMALL = ["--tokenizer", "bytes", "--threads", "1", *(word for value in SHAPE for word in ("--set", value))]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


def call(*arguments: object, stdin: bytes = b"", folder: Path) -> Done:
    """What ``clearhead ARGUMENTS`` in ``folder`` gives, without a new process."""
    before = Path.cwd(), sys.argv, sys.stdin, torch.get_num_threads()
    out, err, code = io.StringIO(), io.StringIO(), 0
    os.chdir(folder)
    sys.argv = ["clearhead", *map(str, arguments)]
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os.chdir(before[0])
        sys.argv, sys.stdin = before[1:3]
        torch.set_num_threads(before[3])
    return Done(code, out.getvalue(), err.getvalue())
