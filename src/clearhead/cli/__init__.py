"""The command line. Verbs import what they need when they run, so that ``--help`` does not load torch."""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
import sys
from typing import Annotated, NoReturn

import typer

from clearhead import __version__, machine
from clearhead.cli import (
    atlas,
    chat,
    compare,
    corpora,
    demo,
    doctor,
    effect,
    evaluate,
    export,
    fill,
    generate,
    heads,
    lab,
    lens,
    look,
    next_words,
    parts,
    prove,
    senses,
    show,
    steps,
    sweep,
    train,
    translate,
    words,
)
from clearhead.cli.printing import echo, message
from clearhead.cli.usage import usage_message
from clearhead.errors import ClearheadError, OptionError

app = typer.Typer(
    name="clearhead",
    help="Transformer language models you can see through: train, generate, look.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = {
    "train": train.train,
    "generate": generate.generate,
    "translate": translate.translate,
    "next": next_words.next_words,
    "fill": fill.fill,
    "chat": chat.chat,
    "look": look.look,
    "atlas": atlas.atlas,
    "heads": heads.heads,
    "steps": steps.steps,
    "lens": lens.lens,
    "parts": parts.parts,
    "effect": effect.effect,
    "sweep": sweep.sweep,
    "words": words.words,
    "senses": senses.senses,
    "eval": evaluate.evaluate,
    "compare": compare.compare,
    "lab": lab.lab,
    "show": show.show,
    "export": export.export,
    "corpora": corpora.corpora,
    "doctor": doctor.doctor,
    "prove": prove.prove,
    "demo": demo.demo,
}
for name, verb in VERBS.items():
    app.command(name)(verb)

# What to do when memory runs out, whatever the verb.
ROOM = "close other programs, or ask for less at once: fewer or shorter texts, fewer tokens, a smaller train.batch"


def _version(asked: bool) -> None:
    if asked:
        echo(f"clearhead {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback on an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before the verb. ``--debug`` works anywhere; ``main`` reads it."""


class Notes(logging.Handler):
    """Prints the package's log messages to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "warning" if record.levelno >= logging.WARNING else "note"
        message(f"{level}: {record.getMessage()}")


def main() -> None:
    """Runs the command. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    _open_streams()
    _show_every_character()
    machine.keep_freed_memory()
    log, notes = logging.getLogger("clearhead"), Notes()
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    try:
        _check_dashes(arguments)
        given = [option for option in options if option != "--debug"] + arguments[len(options) :]
        sys.exit(app(given, prog_name="clearhead", standalone_mode=False) or 0)  # the code of a typer.Exit is returned
    except typer.TyperException as error:
        text = usage_message(error)
        if not text:
            sys.exit(error.exit_code)
        _end(text, error.exit_code)
    except typer.Abort:
        sys.exit(1)
    except (ClearheadError, OSError) as error:
        if debug:
            raise
        _end(_message_of(error), error.exit_code if isinstance(error, ClearheadError) else 1)
    except MemoryError:
        if debug:
            raise
        _end(f"out of memory; {ROOM}", 1)
    except RuntimeError as error:
        short = machine.shortage(error)
        if debug or short is None:
            raise
        _end(f"out of memory: {short} could not be allocated; {ROOM}", 1)
    finally:
        log.removeHandler(notes)


def _message_of(error: ClearheadError | OSError) -> str:
    """The message of an error, with an option as it is typed; for an OSError, the file or stream and the fault."""
    if isinstance(error, OptionError) and error.option is not None:
        return f"--{error.option.replace('_', '-')}{str(error).removeprefix(error.option)}"
    if isinstance(error, ClearheadError):
        return str(error)
    return f"{error.filename or 'output'}: {error.strerror or error}"


def _end(text: str, code: int) -> NoReturn:
    message(f"error: {text}", fg=None if os.environ.get("NO_COLOR") else "red")
    sys.exit(code)


def _open_streams() -> None:
    """Opens streams that the shell closed (``<&-``, ``>&-``) on /dev/null: input is empty, output is dropped.

    Otherwise the next file opened would get the number of the closed stream, and the output with it.
    """
    for name in ("stdin", "stdout", "stderr"):  # in order, since open takes the lowest free number
        if getattr(sys, f"__{name}__") is None:
            stream = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)


def _show_every_character() -> None:
    """Escapes characters that a non-UTF-8 terminal (GBK, ASCII) cannot show, instead of raising an error.

    ``\\u2081`` still says which character it was; a question mark would not.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.errors != "strict":
            continue
        if codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def _check_dashes(arguments: list[str]) -> None:
    """Raises OptionError for an option whose hyphens an editor or an input method turned into dashes."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for argument in options:
        found = re.fullmatch("[\u2013\u2014\u2015\u2212\uff0d]+([a-z][a-z-]*)(=.*)?", argument, re.DOTALL)
        if found is not None:
            raise OptionError(
                f"{argument}: these dashes are not hyphens; options start with two ASCII hyphens: --{found[1]} "
                "(put a lone -- before a text that starts with a dash)"
            )
