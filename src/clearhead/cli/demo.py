"""``clearhead demo``: train, generate and look, in about two minutes."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from clearhead import machine
from clearhead.cli.printing import echo, write
from clearhead.errors import OptionError
from clearhead.language import current

# The sentence to draw, its query word, and the beginning of a story.
SENTENCES = {"world-zh": ("国王向女王鞠了一躬。", "女王", "国王")}
SENTENCE = ('"Server, may I have the check?" she asked.', "check", "The king")


def demo(
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 2.0,
    corpus: Annotated[
        str | None, typer.Option(help="The built-in text to train on; `world-en` by default, in Chinese `world-zh`.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The run folder. If it exists, a number is added: `runs/demo-2`, `runs/demo-3`, ...")
    ] = Path("runs/demo"),
) -> None:
    """Train on a built-in corpus, write a story, and save a picture of its attention."""
    machine.share_cores()
    from clearhead import draw, generate, observe, runs
    from clearhead.cli.progress import Display
    from clearhead.cli.train import exit_interrupted
    from clearhead.drawing.draw import check

    check(Path("attention.png"))  # fail before two minutes of training
    corpus = corpus or ("world-zh" if current() == "zh" else "world-en")
    asked = runs.Asked(corpus=corpus, minutes=minutes, out=_free(out))
    try:
        run = runs.start(asked, Display(), started=time.perf_counter())
    except runs.Interrupted as stopped:
        exit_interrupted(stopped)
    folder, model = run.folder, run.model
    write(f"{folder}\n")
    echo("\nA story by the model:\n")
    write(str(generate(model, "", max_tokens=min(150, model.config.context - 1), temperature=0.7, seed=1)) + "\n")
    picture = folder / "attention.png"
    sentence, query, beginning = SENTENCES.get(corpus, SENTENCE)
    draw(observe(model, sentence), picture, query=query)
    echo(f"\nWhat its heads attend to at {query!r} in {sentence!r}: {picture}")
    command = "clearhead" if shutil.which("clearhead") else os.path.relpath(Path(sys.executable).with_name("clearhead"))
    echo(f"Try next:  {command} generate {shlex.quote(str(folder))} {shlex.quote(beginning)}")
    echo(f"           {command} look {shlex.quote(str(folder))} {shlex.quote(sentence)}")


def _free(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that does not exist, so that the demo can run again.

    Raises OptionError for ".", ".." and "/".
    """
    if folder.exists() and folder.name in ("", ".."):
        raise OptionError(f"--out {folder}: exists already, and a number cannot be added to it; name a new folder")
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
