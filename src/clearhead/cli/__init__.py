"""The command line. Verbs import what they need when they run, so that ``--help`` does not load torch."""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from clearhead import __version__, machine
from clearhead.cli import (
    atlas,
    change,
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
    history,
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
from clearhead.cli.helping import spoken_help
from clearhead.cli.printing import echo, message
from clearhead.cli.usage import usage_message
from clearhead.errors import ClearheadError, OptionError
from clearhead.language import check_language, chosen, speaking

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
    "change": change.change,
    "history": history.history,
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

# What to do when memory runs out, whatever the verb.
ROOM = "close other programs, or ask for less at once: fewer or shorter texts, fewer tokens, a smaller train.batch"


def _version(asked: bool) -> None:
    if asked:
        echo(f"clearhead {__version__}")
        raise typer.Exit


def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback on an error.")] = False,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="en|zh",
            help="The language to speak, `en` or `zh`; by default `CLEARHEAD_LANGUAGE`, else that of the locale. Works "
            "before and after the verb.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before the verb. ``--debug`` and ``--language`` work anywhere; ``main`` reads them."""


def built(verbs: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """The command with some of the verbs."""
    command = typer.Typer(
        name="clearhead",
        help="Transformer language models you can see through: train, generate, look.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    command.callback()(options)
    for name, verb in verbs.items():
        command.command(name)(verb)
    return command


app = built(VERBS)


class Notes(logging.Handler):
    """Prints the package's log messages to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "warning" if record.levelno >= logging.WARNING else "note"
        message(f"{level}: {record.getMessage()}")


def main() -> None:
    """Runs the command. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    _open_streams()
    _show_every_character()
    machine.keep_freed_memory()
    arguments = sys.argv[1:]
    try:
        arguments, language = _language(arguments)
        with speaking(language):
            chosen()  # raises for an unknown CLEARHEAD_LANGUAGE
    except OptionError as error:
        with speaking("en"):
            _end(str(error), error.exit_code)
    with speaking(language):
        _run(arguments)


def _run(arguments: list[str]) -> None:
    options = _options(arguments)
    debug = "--debug" in options
    log, notes = logging.getLogger("clearhead"), Notes()
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    try:
        _check_dashes(arguments)
        given = [option for option in options if option != "--debug"] + arguments[len(options) :]
        verb = next((argument for argument in given if not argument.startswith("-")), "")
        named = built({verb: VERBS[verb]}) if verb in VERBS else app  # the options of all verbs take 0.05 s to read
        with spoken_help(get_command(named)) as command:
            code = command(given, prog_name="clearhead", standalone_mode=False)
        sys.exit(code or 0)  # the code of a typer.Exit is returned
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


def _options(arguments: list[str]) -> list[str]:
    """The arguments that may be options: those before a lone ``--``."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _language(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without ``--language``, wherever it stands, and what it says.

    Raises OptionError if it is neither en nor zh.
    """
    language, left, options = None, list[str](), iter(_options(arguments))
    for option in options:
        name, equals, value = option.partition("=")
        if name != "--language":
            left.append(option)
            continue
        language = value if equals else next(options, None)
        if language is None:
            raise OptionError(f"{name}: it requires an argument")
        check_language(language, "--language")
    return left + arguments[len(_options(arguments)) :], language


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
    for argument in _options(arguments):
        found = re.fullmatch("[\u2013\u2014\u2015\u2212\uff0d]+([a-z][a-z-]*)(=.*)?", argument, re.DOTALL)
        if found is not None:
            raise OptionError(
                f"{argument}: these dashes are not hyphens; options start with two ASCII hyphens: --{found[1]} "
                "(put a lone -- before a text that starts with a dash)"
            )
